"""What `spec.serving` says of pods reaches both kinds of pods, and takes nothing from the operator."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.rollout import world as worlds
from tests.unit.rollout.placed import EVERYTHING

from seatrial.api import spec, values
from seatrial.rollout import children, names, revision, templates


def record(serving: spec.Serving) -> revision.Record:
    wish = msgspec.structs.replace(worlds.spec("1"), serving=serving)
    content = revision.wanted(wish, name="churn", default_image="serving:1", known=())
    return children.new_record("churn", content=content, wish=wish, known={})


def both(serving: spec.Serving) -> dict[str, dict[str, Any]]:
    made = record(serving)
    return {"server": made.pod_template, "trial": templates.trial("churn", made, config="{}")}


@pytest.mark.parametrize("pod", ["server", "trial"])
def test_all_of_it_reaches_the_serving_pods_and_the_trials(pod: str) -> None:
    template = both(EVERYTHING)[pod]
    assert template["metadata"]["labels"]["team"] == "risk"
    assert template["metadata"]["annotations"]["note"] == "mind the gap"
    asked = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "value": "a100", "effect": "NoSchedule"}, {"operator": "Exists"}],
        "serviceAccountName": "models",
        "imagePullSecrets": [{"name": "registry"}],
        "priorityClassName": "high",
        "terminationGracePeriodSeconds": 90,
        "automountServiceAccountToken": False,
    }
    assert {name: template["spec"].get(name) for name in asked} == asked


def test_the_pods_of_one_version_are_spread_and_counted_alone() -> None:
    made = record(EVERYTHING)
    (spread,) = made.pod_template["spec"]["topologySpreadConstraints"]
    assert spread == {
        "topologyKey": "topology.kubernetes.io/zone",
        "maxSkew": 1,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": names.selector("churn", made.revision)},
    }
    assert made.pod_template["metadata"]["labels"].items() >= names.selector("churn", made.revision).items()
    assert "topologySpreadConstraints" not in templates.trial("churn", made, config="{}")["spec"], "it is alone"


def test_discovery_by_annotation_can_be_ended() -> None:
    assert both(EVERYTHING)["server"]["metadata"]["annotations"]["prometheus.io/scrape"] == "false"
    assert both(spec.Serving())["server"]["metadata"]["annotations"]["prometheus.io/scrape"] == "true"


@pytest.mark.parametrize("pod", ["server", "trial"])
def test_the_operators_own_keys_cannot_be_taken(pod: str) -> None:
    """An older API server's rules may let them pass: Services would find other pods then."""
    taken = spec.Serving(pod_labels=dict.fromkeys([names.DEPLOYMENT, names.REVISION, names.COMPONENT], "mine"))
    labels = both(taken)[pod]["metadata"]["labels"]
    assert "mine" not in labels.values()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sidecar.istio.io/inject", "false"),
        ("kuma.io/sidecar-injection", "disabled"),
        ("linkerd.io/inject", "disabled"),
        ("consul.hashicorp.com/connect-inject", "false"),
    ],
)
def test_no_mesh_puts_a_proxy_that_never_ends_beside_a_trial(key: str, value: str) -> None:
    asked = spec.Serving(pod_labels={key: "true"}, pod_annotations={key: "enabled"})
    for serving in (spec.Serving(), asked):
        meta = both(serving)["trial"]["metadata"]
        assert {**meta["annotations"], **meta["labels"]}[key] == value or meta["annotations"][key] == value
    assert both(asked)["server"]["metadata"]["labels"][key] == "true", "serving pods may have one"


def test_nothing_asked_for_leaves_no_trace() -> None:
    assert record(spec.Serving()).content.placement is None
    pod = both(spec.Serving())["server"]["spec"]
    assert pod.keys().isdisjoint({"nodeSelector", "tolerations", "serviceAccountName", "priorityClassName"})


def test_a_model_may_load_longer_than_silence_is_a_fault() -> None:
    """Liveness begins only when the server has answered once."""
    (container,) = both(spec.Serving())["server"]["spec"]["containers"]
    startup, liveness = container["startupProbe"], container["livenessProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 3600
    assert startup["httpGet"] == liveness["httpGet"]


def test_a_placed_revision_is_read_back_from_its_record() -> None:
    made = record(EVERYTHING)
    stored = msgspec.json.decode(msgspec.json.encode(made, enc_hook=values.encode_hook))
    assert msgspec.convert(stored, revision.Record, dec_hook=values.decode_hook) == made
