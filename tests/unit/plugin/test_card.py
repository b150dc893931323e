"""The card of a version in the cluster: from the pods' configuration, the operator's record, or what is left."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest
import yaml
from tests.unit.plugin import recorded
from tests.unit.server import test_cards

from seatrial.plugin import card, errors, view
from seatrial.rollout import notes
from seatrial_server.cards import cyclonedx, markdown
from seatrial_server.model import schema
from seatrial_server.trial import report

SAID = msgspec.convert(yaml.safe_load(test_cards.WHOLE), schema.Card)
TRIED = msgspec.structs.replace(
    test_cards.TRIAL,
    card=report.told(SAID),
    inputs=test_cards.TENSORS.inputs,
    outputs=test_cards.TENSORS.outputs,
)


def seen(situation: str = "stable") -> view.View:
    return recorded.seen(recorded.world(situation))


def files(trial: report.Report | None = TRIED) -> dict[str, str]:
    """A revision's ConfigMap."""
    config = {"model": {"name": "churn", "version": "7", "uri": "oci://r/churn:7", "sha256": "a" * 64}, "revision": "r"}
    told = {} if trial is None else {"report.json": report.encode(trial).decode()}
    return {"config.json": json.dumps(config), **told}


def record(passed: dict[str, str] | None = None, **data: Any) -> dict[str, Any]:
    """The operator's, with what it has noted."""
    noted = notes.render(notes.Notes(passed=notes.pack(passed) if passed else ""))
    content = {"modelName": "churn", "modelVersion": "7", "sha256": "a" * 64}
    return {
        "metadata": {"annotations": {notes.ANNOTATION: noted}},
        "data": {"content": content, "uri": "oci://r/churn:7", **data},
    }


def markdown_of(known: Any) -> str:
    return markdown.render(known).decode()


@pytest.mark.parametrize(
    ("config_map", "record_"),
    [
        pytest.param({"data": files()}, {}, id="the pods' configuration"),
        pytest.param({}, record(files()), id="the operator's record, once the pods are gone"),
        pytest.param({"data": files(None)}, record(files()), id="both, of which one has the report"),
    ],
)
def test_it_says_what_the_card_of_the_file_says_and_how_the_version_stands(
    config_map: dict[str, Any], record_: dict[str, Any]
) -> None:
    there = seen()
    known, lacking = card.told(there, card.revision_of(there, None), config_map=config_map, record=record_)
    assert lacking == ""
    plain = msgspec.structs.replace(known, serving=(), measured=())
    assert markdown_of(plain) == markdown_of(test_cards.known())
    assert cyclonedx.render(plain) == cyclonedx.render(test_cards.known())
    text = markdown_of(known)
    assert "stable since" in text
    assert "shop/churn" in text
    test_cards.bom(known)


def test_verdicts_and_drift_of_the_version_are_in_it_and_those_of_others_are_not() -> None:
    there = seen("rolled back")
    rejected = there.status.verdicts[0]
    known, _ = card.told(
        there, card.revision_of(there, rejected.model_version), config_map={"data": files()}, record={}
    )
    told = dict(known.serving)
    assert told["stands"] == "does not serve"
    [verdict] = [text for name, text in told.items() if name.startswith("verdict of")]
    assert verdict.startswith("Rejected (")
    raw = msgspec.json.decode(msgspec.json.encode(there.raw))
    stable = there.status.stable
    assert stable is not None
    drift = {
        "revision": stable.revision,
        "outcome": "Drifted",
        "since": "2026-01-01T00:00:00Z",
        "at": "2026-01-01T00:00:00Z",
    }
    condition = {"type": "Drifted", "status": "True", "reason": "FeatureDrift", "message": "drift: income: | 61%",
                 "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"}  # fmt: skip
    raw["status"] |= {"drift": drift, "conditions": [condition]}
    drifting = view.of(raw)
    known, _ = card.told(drifting, stable.revision, config_map={"data": files()}, record={})
    assert dict(known.serving)["drift"] == "FeatureDrift: drift: income: | 61%"
    assert "drift: income: \\| 61%" in markdown_of(known)
    known, _ = card.told(drifting, rejected.revision, config_map={"data": files()}, record={})
    assert "drift" not in dict(known.serving)


QUALITY = {
    "outcome": "Holds",
    "since": "2026-01-01T00:00:00Z",
    "at": "2026-01-15T00:00:00Z",
    "until": "2026-01-14T12:00:00Z",
    "window": "14d",
    "labelled": 4200,
    "wrong": 357,
    "share": "8.5%",
    "low": "7.4%",
    "high": "9.7%",
}


def labelled(there: view.View, revision: str, **changes: Any) -> view.View:
    """Labels of a revision's answers have come."""
    raw = msgspec.json.decode(msgspec.json.encode(there.raw))
    condition = {
        "type": "QualityDropped",
        "status": "False",
        "reason": "QualityHolds",
        "message": "357 of 4200 labelled rows were wrong",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    quality = {"revision": revision, **QUALITY, **changes}
    raw["status"] |= {"quality": quality, "conditions": [condition]}
    return view.of(raw)


def test_how_often_labels_show_it_wrong_is_among_its_metrics_with_their_days_and_their_number() -> None:
    there = labelled(seen(), card.revision_of(seen(), None))
    known, _ = card.told(there, card.revision_of(there, None), config_map={"data": files()}, record={})
    row = "| labels of 14d until 2026-01-14 12:00Z | all | errorRate | 0.085 | 0.074 | 0.097 | 4200 |"
    assert row in markdown_of(known)
    assert "| quality | QualityHolds: 357 of 4200 labelled rows were wrong |" in markdown_of(known)
    analysis = test_cards.bom(known)["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]
    assert analysis["performanceMetrics"][-1] == {
        "type": "errorRate",
        "value": "0.085",
        "slice": "labels of 14d until 2026-01-14 12:00Z",
        "confidenceInterval": {"lowerBound": "0.074", "upperBound": "0.097"},
    }


@pytest.mark.parametrize(
    ("revision", "changes"),
    [
        pytest.param("another", {}, id="of another version"),
        pytest.param("", {"labelled": 0, "share": "", "low": "", "high": "", "window": ""}, id="none yet"),
    ],
)
def test_without_labels_of_its_answers_the_metrics_are_those_of_the_trial(
    revision: str, changes: dict[str, Any]
) -> None:
    own = card.revision_of(seen(), None)
    there = labelled(seen(), revision or own, **changes)
    known, _ = card.told(there, own, config_map={"data": files()}, record={})
    assert known.evaluation == TRIED.evaluation


@pytest.mark.parametrize(
    ("config_map", "record_"),
    [
        pytest.param({"data": files(None)}, {}, id="the report"),
        pytest.param({}, record(), id="report and configuration"),
        pytest.param({"data": {**files(), "report.json": "spoilt"}}, {}, id="a report that can be read"),
        pytest.param({"data": {"config.json": "spoilt"}}, record(), id="a configuration that can be read"),
        pytest.param({}, {**record(), "metadata": {"annotations": {notes.ANNOTATION: "spoilt"}}}, id="notes"),
    ],
)
def test_without_the_report_there_is_a_card_of_what_is_left_and_it_is_said(
    config_map: dict[str, Any], record_: dict[str, Any]
) -> None:
    known, lacking = card.told(seen(), "r", config_map=config_map, record=record_)
    assert "is gone or can't be read" in lacking
    assert (known.name, known.version, known.sha256) == ("churn", "7", "a" * 64)
    assert "not stated" in markdown_of(known)
    test_cards.bom(known)


def test_a_model_without_provenance_says_so_and_is_valid_in_both_forms() -> None:
    bare = msgspec.structs.replace(TRIED, card=report.told(schema.Card()))
    known, lacking = card.told(seen(), "r", config_map={"data": files(bare)}, record={})
    assert lacking == ""
    assert "| code | not stated |" in markdown_of(known)
    properties = {one["name"]: one["value"] for one in test_cards.bom(known)["metadata"]["component"]["properties"]}
    assert "provenance.data" in properties["seatrial:not stated"]


def test_a_report_without_the_words_is_told_apart_from_a_model_without_any() -> None:
    older = msgspec.structs.replace(TRIED, card=None)
    known, lacking = card.told(seen(), "r", config_map={"data": files(older)}, record={})
    assert "has no words of model.yaml" in lacking
    assert known.evaluation == TRIED.evaluation
    assert report.told(msgspec.structs.replace(SAID, limitations=("x" * 9_000,) * 5)) is None


def test_what_cannot_be_had_is_one_sentence_with_what_there_is() -> None:
    there = seen("rolled back")
    with pytest.raises(errors.NotFound, match=r"nothing is on record of revision 'nobody'.*version 1"):
        card.told(there, card.revision_of(there, "nobody"), config_map={}, record={})
    with pytest.raises(errors.WouldDoNothing, match="no version of churn serves"):
        card.revision_of(seen("first install"), None)
    with pytest.raises(errors.Refused, match="can't be read"):
        card.told(there, "r", config_map={}, record=record(content={"sha256": "no digest", "modelName": "churn"}))


def test_it_is_made_without_what_only_a_server_has() -> None:
    """As the plugin is installed: neither ONNX Runtime nor the server's other libraries."""
    program = (
        "import sys\n"
        "for name in 'onnxruntime onnx orjson uvloop httptools grpc obstore prometheus_client'.split():\n"
        "    sys.modules[name] = None\n"
        "import seatrial.plugin.card\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=250)
