"""`kubectl seatrial lint` without a cluster: what it says, where, and with which exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from seatrial.api import spec
from seatrial.plugin import main
from seatrial.plugin.linting import advice, bounds, documents

HEAD = "apiVersion: seatrial.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: churn}\n"
MODEL = "spec:\n  model: {uri: 'https://models.example.com/churn.onnx', sha256: " + "9f86d081" * 8 + "}\n"


def lint(text: str, *arguments: str) -> Result:
    return CliRunner().invoke(main.group, ["lint", "-", *arguments], input=text)


def test_the_smallest_object_is_fine() -> None:
    result = lint(HEAD + MODEL + "  rollout: {traffic: {provider: Relay}}\n")
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        pytest.param("  replicaz: 3", "spec.replicaz: is no field here; did you mean replicas?", id="unknown field"),
        pytest.param("  replicas: three", 'spec.replicas: must be a whole number, not "three"', id="text"),
        pytest.param("  replicas: 0", "spec.replicas: must be at least 1, not 0", id="too small"),
        pytest.param(f"  replicas: {10**30}", f"spec.replicas: must be at most 500, not {10**30}", id="far too large"),
        pytest.param("  replicas: 1.5", "spec.replicas: must be a whole number, not 1.5", id="fraction"),
        pytest.param(
            "  quantization: {mode: auto}",
            'spec.quantization.mode: must be one of Auto, Static, Dynamic, None, not "auto"; did you mean Auto?',
            id="word",
        ),
        pytest.param(
            "  rollout: {steps: []}", "spec.rollout.steps: must have at least 1 entries, not 0", id="empty list"
        ),
        pytest.param("  rollout: {soak: 600}", "spec.rollout.soak: must be text, not 600", id="number for a duration"),
        pytest.param(
            "  rollout: {steps: [{weight: 50}, {weight: 10}]}",
            "spec.rollout.steps: must have strictly increasing weights, such as 10, 50, 100",
            id="rule",
        ),
        pytest.param(
            "  rollout: {steps: [{minRequests: 5}]}",
            "spec.rollout.steps[0].weight: is missing, it is required",
            id="missing in a list",
        ),
        pytest.param(
            "  serving: {resources: {limits: {cpu: 0.5}}}",
            "limits.cpu: must be text or a whole number, not 0.5",
            id="float",
        ),
    ],
)
def test_a_mistake_is_one_line_with_its_place_and_what_is_allowed(members: str, said: str) -> None:
    result = lint(HEAD + MODEL + members + "\n")
    assert result.exit_code == 1
    assert said in result.output
    assert result.output.startswith("-: churn: error: ")
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a: [", "line 1: not YAML", id="cut off"),
        pytest.param("a: 1\nb: 2\na: 3\n", "line 3: the field 'a' must not come twice", id="key twice"),
        pytest.param("- a\n- b\n", "document 1 must be an object, not list", id="list"),
        pytest.param("just text", "document 1 must be an object, not str", id="text"),
        pytest.param("", "no ModelDeployment there: nothing was checked", id="empty"),
        pytest.param("kind: Service\napiVersion: v1\n", "no ModelDeployment there", id="another kind"),
        pytest.param(HEAD.replace("v1alpha1", "v1") + MODEL, "apiVersion: must be seatrial.dev/v1alpha1", id="version"),
        pytest.param(HEAD, "spec: is missing, it is required", id="no spec"),
        pytest.param(HEAD + "spec: []\n", "spec: must be an object, not []", id="spec is a list"),
        pytest.param(
            HEAD.replace("{name: churn}", "[]") + MODEL, "metadata: must be an object", id="metadata is a list"
        ),
        pytest.param("a: !!python/object:os.system {}\n", "not YAML", id="a tag of Python"),
        pytest.param(HEAD + MODEL + "  on: {}\n", "spec.true: is no field here", id="a word that is true in YAML"),
    ],
)
def test_a_file_that_can_not_be_checked_says_why_in_one_line(text: str, said: str) -> None:
    result = lint(text)
    assert result.exit_code == 1
    assert said in result.output
    assert len(result.output.splitlines()) == 1


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(main.group, ["lint", str(tmp_path / "none.yaml")])
    assert (result.exit_code, "No such file or directory" in result.output) == (3, True)


def test_objects_of_other_kinds_are_passed_over_and_lists_are_opened(tmp_path: Path) -> None:
    item: dict[str, Any] = {
        "apiVersion": "seatrial.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "listed"},
        "spec": {"model": {"uri": "ftp://x", "sha256": "9f86d081" * 8}},
    }
    file = tmp_path / "all.yaml"
    file.write_text("kind: Service\n---\n---\n" + json.dumps({"kind": "List", "items": [item]}))
    result = CliRunner().invoke(main.group, ["lint", str(file), "-o", "json"])
    (found,) = json.loads(result.output)
    assert (found["name"], found["path"], found["level"]) == ("listed", "spec.model.uri", "error")


def test_a_date_is_text_as_it_is_for_kubectl() -> None:
    (document,) = documents.read("version: 2026-01-01\n")
    assert document == {"version": "2026-01-01"}


def test_what_the_api_server_wrote_beside_the_spec_is_not_ours() -> None:
    text = HEAD.replace("{name: churn}", "{name: churn, uid: u, managedFields: [{}], labels: {a: b}}") + MODEL
    assert lint(text + "status: {whatever: 1}\n").exit_code == 0


# advice


def wish(**changes: Any) -> spec.Spec:
    return spec.Spec(model=spec.Model(uri="https://m/m.onnx", sha256="9f86d081" * 8), **changes)


def relay(*steps: spec.Step, **changes: Any) -> spec.Spec:
    traffic = spec.Traffic(provider=spec.Provider.RELAY)
    return wish(rollout=spec.Rollout(steps=steps or None, traffic=traffic, **changes))


def said(found: list[tuple[str, str]]) -> str:
    return "\n".join(f"{path}: {words}" for path, words in found)


def short(weight: int = 10, seconds: str = "10s", requests: int = 0) -> spec.Step:
    return spec.Step(weight=weight, min_duration=spec.Duration.parse(seconds), min_requests=requests)


def test_the_defaults_get_no_advice_where_the_share_is_exact() -> None:
    assert advice.about(relay(), rate=50) == []


def test_a_share_that_pods_can_not_give_is_told() -> None:
    rollout = spec.Rollout(traffic=spec.Traffic(provider=spec.Provider.SERVICE))
    assert "10 asks for 10% and gets about 33%" in said(advice.about(wish(rollout=rollout), rate=None))
    assert advice.about(wish(rollout=rollout, replicas=20), rate=None) == []


def test_a_step_that_can_convict_nobody_at_this_traffic_is_told() -> None:
    found = said(advice.about(relay(short(requests=2)), rate=0.2))
    assert "spec.rollout.steps[0]: convicts nobody" in found
    assert "2 requests of the candidate at 0.2/s" in found


def test_a_step_that_convicts_only_the_worst_is_told_with_the_share() -> None:
    assert "convicts by its end only versions that fail" in said(advice.about(relay(short(requests=10)), rate=1))


def test_a_step_that_never_ends_at_this_traffic_is_told() -> None:
    found = said(advice.about(relay(short(seconds="2m", requests=5000)), rate=1))
    assert "spec.rollout.steps[0].minRequests: 5000 take 833 minutes at 1/s" in found
    assert "holds there for ever" in found


def test_without_a_rate_nothing_is_said_of_traffic() -> None:
    assert advice.about(relay(short(seconds="60s", requests=1)), rate=None) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"replicas": 1}, "spec.replicas: 1 means an outage", id="one replica"),
        pytest.param(
            {"analysis": spec.Analysis(latency=spec.Latency(threshold=spec.Duration.parse("2s")))},
            "is not below spec.serving.limits.timeout",
            id="a threshold that no answer reaches",
        ),
        pytest.param(
            {"analysis": spec.Analysis(errors=spec.Errors(max=spec.Ratio.parse("100%")))},
            "spec.analysis.errors.max: 100% forbids nothing",
            id="a maximum that forbids nothing",
        ),
        pytest.param(
            {
                "monitoring": spec.Monitoring(
                    attributions=spec.Attributions(), drift=spec.Drift(mode=spec.DriftMode.OFF)
                )
            },
            "spec.monitoring.attributions: are neither counted nor judged while spec.monitoring.drift.mode is Off",
            id="attributions without drift",
        ),
    ],
)
def test_what_is_allowed_and_not_meant_is_told(changes: dict[str, Any], words: str) -> None:
    assert words in said(advice.about(wish(**changes), rate=None))


def test_advice_is_no_error_unless_it_is_asked_to_be() -> None:
    text = HEAD + MODEL + "  replicas: 1\n"
    assert lint(text).exit_code == 0
    assert "advice: spec.replicas" in lint(text).output
    assert lint(text, "--strict").exit_code == 1


def test_defaults_are_filled_from_the_outside_in() -> None:
    schema = {
        "properties": {
            "a": {"default": {}, "properties": {"b": {"default": 1}}},
            "c": {"items": {"properties": {"d": {"default": 2}}}},
        }
    }
    assert bounds.filled(schema, {"c": [{}]}) == {"a": {"b": 1}, "c": [{"d": 2}]}
    assert bounds.filled(schema, {"a": None}) == {"a": {"b": 1}}
