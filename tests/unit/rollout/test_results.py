"""What a run says at its end, from honest training code to everything else."""

from __future__ import annotations

import json

import pytest
from tests.unit.rollout import trainer

from seatrial.api.spec import Retraining
from seatrial.rollout.retraining import results

WISH = Retraining(cron_job="train", uri_prefix=trainer.PREFIX)
FULL = {
    "uri": f"{trainer.PREFIX}:8",
    "sha256": "8" * 64,
    "version": "8",
    "data": {"uri": "s3://data/may.parquet", "sha256": "d" * 64, "rows": 120000},
    "code": {"uri": "https://git.example.com/churn", "revision": "4f1c9e0"},
    "metrics": {"auc": 0.91, "rows": 3},
}


def said(**changes: object) -> str:
    return json.dumps({**FULL, **changes})


def refusal(message: str, wish: Retraining = WISH) -> str:
    with pytest.raises(results.ResultError) as caught:
        results.read(message, wish)
    return str(caught.value)


def test_a_whole_result_is_read():
    made = results.read(said(), WISH)
    assert isinstance(made, results.Result)
    assert (made.uri, made.version, made.data.rows, made.metrics["auc"]) == (FULL["uri"], "8", 120000, 0.91)


def test_a_version_may_be_a_number():
    made = results.read(said(version=8), WISH)
    assert isinstance(made, results.Result)
    assert made.version == "8"


def test_a_run_may_find_nothing_to_train():
    made = results.read('{"skipped": "only 212 new labels"}', WISH)
    assert isinstance(made, results.Skipped)
    assert made.skipped == "only 212 new labels"


BAD = {
    "nothing": ("", "without a result"),
    "blank": (" \n", "without a result"),
    "text": ("done!", "can't be read"),
    "a list": ("[]", "can't be read"),
    "half": (said()[:-20], "can't be read"),
    "two": (said() + said(), "can't be read"),
    "deep": ("[" * 4000, "can't be read"),
    "too long": (said(code={"revision": "a" * 5000}), "longer than 4096 bytes"),
    "no digest": (said(sha256=None), "sha256"),
    "a short digest": (said(sha256="8f3a"), "sha256"),
    "capitals": (said(sha256="F" * 64), "sha256"),
    "a number for a digest": (said(sha256=8), "sha256"),
    "no version": (json.dumps({key: FULL[key] for key in ("uri", "sha256")}), "version"),
    "an empty version": (said(version=""), "version"),
    "a version with a slash": (said(version="8/9"), "version"),
    "an unknown field": (said(accuracy=0.9), "accuracy"),
    "both": (said(skipped="nothing to do"), "skipped"),
    "a metric in words": (said(metrics={"auc": "good"}), "metrics"),
    "negative rows": (said(data={"rows": -1}), "rows"),
    "not a number": (said().replace("0.91", "NaN"), "can't be read"),
    "another scheme": (said(uri="ftp://registry.example.com/churn:8"), "uri"),
    "a space": (said(uri=f"{trainer.PREFIX}:8 "), "uri"),
    "no tag": (said(uri=trainer.PREFIX), "must have the form"),
    "another repository": (said(uri="oci://registry.example.com/fraud:8"), "must begin with"),
    "a longer name": (said(uri=f"{trainer.PREFIX}-of-others:8"), "must begin with"),
    "another host": (said(uri="oci://evil.example.com/churn:8"), "must begin with"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_result_is_refused_with_the_reason(case):
    message, words = BAD[case]
    assert words in refusal(message)


def prefixed(prefix: str, uri: str) -> str:
    """The refusal of a uri; nothing where it is taken."""
    try:
        results.read(said(uri=uri), Retraining(cron_job="train", uri_prefix=prefix))
    except results.ResultError as refused:
        return str(refused)
    return ""


HOST = "https://models.example.com"


@pytest.mark.parametrize(
    ("prefix", "uri"),
    [
        (trainer.PREFIX, f"{trainer.PREFIX}:8"),
        (trainer.PREFIX, f"{trainer.PREFIX}@sha256:{'8' * 64}"),
        (trainer.PREFIX, f"{trainer.PREFIX}/fresh:8"),
        ("oci://registry.example.com/team/", "oci://registry.example.com/team/churn:8"),
        ("s3://models/churn", "s3://models/churn/8.onnx"),
        ("s3://models", "s3://models/churn/8.onnx"),
        (f"{HOST}/churn", f"{HOST}/churn/8.onnx?version=3"),
        ("pvc://models/churn/", "pvc://models/churn/8.onnx"),
    ],
)
def test_what_is_under_the_prefix_is_taken(prefix, uri):
    assert prefixed(prefix, uri) == ""


@pytest.mark.parametrize(
    ("prefix", "uri"),
    [
        (HOST, f"{HOST}@evil.example.com/8.onnx"),
        (HOST, f"{HOST}:8080/8.onnx"),
        (HOST, f"{HOST}.evil.example.com/8.onnx"),
        (f"{HOST}/churn", f"{HOST}/churn/../fraud/8.onnx"),
        (f"{HOST}/churn", f"{HOST}/churn/%2e%2e/fraud/8.onnx"),
        (f"{HOST}/churn", f"{HOST}/churn/..%2Ffraud/8.onnx"),
        (f"{HOST}/churn", f"{HOST}/churn/..\\fraud/8.onnx"),
        (f"{HOST}/churn", f"{HOST}/churn/.."),
        (f"{HOST}/churn", f"{HOST}/churn2/8.onnx"),
        ("s3://models/churn", "s3://models/churn-old/8.onnx"),
        ("s3://models", "s3://models-of-others/8.onnx"),
        ("pvc://models/churn", "pvc://models/churn/../../8.onnx"),
        ("oci://registry.example.com/churn", "oci://registry.example.com/churn:8@sha256:short"),
    ],
)
def test_what_only_looks_as_if_it_were_is_not(prefix, uri):
    assert prefixed(prefix, uri)


def test_without_a_prefix_any_place_will_do():
    external = Retraining(cron_job="train")
    assert isinstance(results.read(said(uri="https://elsewhere.example.com/8.onnx"), external), results.Result)
