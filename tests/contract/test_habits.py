"""What people type out of habit: taken as it is meant, or refused in one sentence that says what to type.

And `kubectl explain`, field by field: where they look next.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.cluster.harness import apiserver, errors

from seatrial.api import schema
from seatrial.plugin.linting import checking, documents

pytestmark = pytest.mark.apiserver

SHA256 = "9f86d081" * 8
HEAD = "apiVersion: seatrial.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: typed, namespace: shop}\nspec:\n"
MODEL = f"  model: {{uri: 'https://models.example.com/churn.onnx', sha256: {SHA256}}}\n"


def with_model(**members: str) -> str:
    fields = {"uri": "https://models.example.com/churn.onnx", "sha256": SHA256, **members}
    return "  model:\n" + "".join(f"    {name}: {value}\n" for name, value in fields.items())


TAKEN = {
    "cpu: 2": MODEL + "  serving: {resources: {limits: {cpu: 2, memory: 2Gi}}}",
    "cpu: '0.5'": MODEL + "  serving: {resources: {requests: {cpu: '0.5'}}}",
    "memory as a number of bytes": MODEL + "  serving: {resources: {limits: {memory: 1073741824}}}",
    "version: 7": with_model(version="7"),
    "version: v7.1": with_model(version="v7.1"),
    "max: 1 without quotes": MODEL + "  analysis: {metrics: [{name: mean, query: up, max: 1}]}",
}

REFUSED = {
    "cpu: 0.5": (
        MODEL + "  serving: {resources: {limits: {cpu: 0.5}}}",
        "spec.serving.resources.limits.cpu in body must be of type integer,string",
    ),
    "memory: 2GB": (
        MODEL + "  serving: {resources: {limits: {memory: 2GB}}}",
        "spec.serving.resources.limits.memory must be a quantity like 500m, 2 or 512Mi",
    ),
    "memory: 512MiB": (
        MODEL + "  serving: {resources: {limits: {memory: 512MiB}}}",
        "spec.serving.resources.limits.memory must be a quantity like 500m, 2 or 512Mi",
    ),
    "version: 1.5": (with_model(version="1.5"), "spec.model.version in body must be of type integer,string"),
    "a version with a blank": (
        with_model(version="'7 beta'"),
        "spec.model.version must be letters, digits, hyphens, dots and underscores",
    ),
    "soak: 600": (MODEL + "  rollout: {soak: 600}", "spec.rollout.soak in body must be of type string"),
    "soak: 10 minutes": (
        MODEL + "  rollout: {soak: 10 minutes}",
        "spec.rollout.soak must be a duration like 30s, 5m or 1h30m",
    ),
    "soak: 1d": (MODEL + "  rollout: {soak: 1d}", "spec.rollout.soak must be a duration like 30s, 5m or 1h30m"),
    "soak: 1.5h": (MODEL + "  rollout: {soak: 1.5h}", "spec.rollout.soak must be a duration like 30s, 5m or 1h30m"),
    "stepTimeout: forever": (
        MODEL + "  rollout: {stepTimeout: forever}",
        "spec.rollout.stepTimeout must be a duration like 30s, 5m or 1h30m",
    ),
    "minDuration: 2min in a step": (
        MODEL + "  rollout: {steps: [{weight: 10, minDuration: 2min}]}",
        "spec.rollout.steps[].minDuration must be a duration like 30s, 5m or 1h30m",
    ),
    "max: 0.05": (
        MODEL + "  analysis: {errors: {max: 0.05}}",
        "spec.analysis.errors.max in body must be of type string",
    ),
    "max: '0.05'": (
        MODEL + "  analysis: {errors: {max: '0.05'}}",
        "spec.analysis.errors.max must be a percentage like 2% or 0.5%",
    ),
    "max: 5 %": (
        MODEL + "  analysis: {errors: {max: 5 %}}",
        "spec.analysis.errors.max must be a percentage like 2% or 0.5%",
    ),
    "weight: 10%": (
        MODEL + "  rollout: {steps: [{weight: 10%}]}",
        "spec.rollout.steps[0].weight in body must be of type integer",
    ),
    "mode: static": (
        MODEL + "  quantization: {mode: static}",
        'spec.quantization.mode: Unsupported value: "static": supported values: "Auto", "Static", "Dynamic", "None"',
    ),
    "provider: gateway-api": (
        MODEL + "  rollout: {traffic: {provider: gateway-api}}",
        'Unsupported value: "gateway-api": supported values: "Relay", "Service", "GatewayAPI"',
    ),
    "sha256: in capitals": (
        with_model(sha256=SHA256.upper()),
        "spec.model.sha256 must be 64 lower-case hex digits, as sha256sum prints them",
    ),
    "sha256: with its name before it": (
        with_model(sha256=f"'sha256:{SHA256}'"),
        "spec.model.sha256: Too long: may not be more than 64 bytes",
    ),
    "sha256: the first part of it": (
        with_model(sha256="9f86d081aa"),
        "spec.model.sha256 must be 64 lower-case hex digits",
    ),
    "uri: a path": (
        with_model(uri="/models/churn.onnx"),
        "spec.model.uri must be an address that begins with http://, https://, s3://, gs://, az://, oci:// or pvc://",
    ),
    "uri: file://": (with_model(uri="file:///models/churn.onnx"), "spec.model.uri must be an address that begins with"),
    "min_requests": (
        MODEL + "  rollout: {steps: [{weight: 10, min_requests: 5}]}",
        'unknown field "spec.rollout.steps[0].min_requests"',
    ),
    "image: with a blank": (
        MODEL + "  serving: {image: 'serving :1'}",
        "spec.serving.image must be an image like registry.example.com/serving:0.1.0, without blanks",
    ),
    "podLabels with a blank": (
        MODEL + "  serving: {podLabels: {team: fraud and risk}}",
        "must be the value of a label: letters, digits, hyphens, dots and underscores",
    ),
}
assert len(REFUSED) + len(TAKEN) >= 20


def answer(api: apiserver.ApiServer, text: str) -> str:
    """What kubectl prints when it is refused; "" when it isn't."""
    try:
        api.kubectl("create", "--dry-run=server", "-f", "-", input=text)
    except errors.CommandFailed as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize("members", TAKEN.values(), ids=TAKEN)
def test_what_can_mean_only_one_thing_is_taken(shop: apiserver.ApiServer, members: str) -> None:
    assert answer(shop, HEAD + members) == ""


@pytest.mark.parametrize(("members", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_taken_is_refused_in_one_sentence(
    shop: apiserver.ApiServer, members: str, sentence: str
) -> None:
    said = answer(shop, HEAD + members)
    assert sentence in said
    assert "should match" not in said, "a pattern is no sentence"
    assert said.count("* ") <= 1 or "some validation rules were not checked" in said, said
    assert "no such overload" not in said
    assert "evaluat" not in said


@pytest.mark.parametrize(("members", "sentence"), REFUSED.values(), ids=REFUSED)
def test_without_a_cluster_the_same_is_refused(members: str, sentence: str) -> None:
    (document,) = documents.read(HEAD + members)
    found = checking.check(document, rate=None)
    assert [one.level for one in found] == [checking.Level.ERROR]
    assert yaml.safe_load(HEAD + members)["spec"]
    assert "^" not in found[0].message
    assert sentence


# kubectl explain


def fields(member: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, member
    inside = member.get("items", member)
    for name, inner in inside.get("properties", {}).items():
        yield from fields(inner, f"{path}.{name}")


def test_explain_describes_every_field_and_shows_its_default_and_its_words(shop: apiserver.ApiServer) -> None:
    """Read whole, as `--recursive` can't: one call a level would take minutes, so the levels with members are asked."""
    known = dict(fields(schema.model_deployment()["properties"]["spec"], "mdeploy.spec"))
    for path, member in known.items():
        inside = member.get("items", member)
        if not inside.get("properties"):
            continue
        said = " ".join(shop.kubectl("explain", path).split())
        assert " ".join(str(inside.get("description") or member["description"]).split())[:60] in said, path
        for name, inner in inside["properties"].items():
            assert f" {name} <" in said, f"{path}.{name}"
            assert " ".join(inner["description"].split()) in said, f"{path}.{name}"
            if isinstance(inner.get("default"), str):
                assert f"Default: {inner['default']}." in said or "efault" in inner["description"], f"{path}.{name}"


def test_explain_shows_the_whole_tree(shop: apiserver.ApiServer) -> None:
    said = shop.kubectl("explain", "mdeploy.spec", "--recursive")
    assert "minDuration" in said
    assert "<no description>" not in said
    assert json.dumps(said).count("\\n") > 50
