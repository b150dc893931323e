"""What `spec.serving` says of pods reaches both kinds of pods, and takes nothing from the operator."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.rollout import world as worlds
from tests.unit.rollout.placed import EVERYTHING

from seatrial.api import placement, spec, values
from seatrial.api.base import SecretReference
from seatrial.rollout import children, names, revision, templates


def record(serving: spec.Serving, defaults: placement.Placement = templates.NO_DEFAULTS) -> revision.Record:
    wish = msgspec.structs.replace(worlds.spec("1"), serving=serving)
    content = revision.wanted(wish, name="churn", default_image="serving:1", known=())
    return children.new_record("churn", content=content, wish=wish, known={}, defaults=defaults)


def both(serving: spec.Serving, defaults: placement.Placement = templates.NO_DEFAULTS) -> dict[str, dict[str, Any]]:
    made = record(serving, defaults)
    return {"server": made.pod_template, "trial": templates.trial("churn", made, config="{}", defaults=defaults)}


def variables(template: dict[str, Any]) -> dict[str, set[str]]:
    """Names of the variables of each container."""
    pod = template["spec"]
    return {one["name"]: {env["name"] for env in one["env"]} for one in (*pod["initContainers"], *pod["containers"])}


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


def test_affinity_is_handed_on_as_kubernetes_spells_it() -> None:
    term = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {
            "matchLabels": {"app": "batch"},
            "matchExpressions": [{"key": "quiet", "operator": "DoesNotExist"}],
        },
        "namespaces": ["jobs"],
    }
    big = {"key": "cores", "operator": "Gt", "values": ["16"]}
    required, preferred = (f"{one}DuringSchedulingIgnoredDuringExecution" for one in ("required", "preferred"))
    for template in both(EVERYTHING).values():
        assert template["spec"]["affinity"] == {
            "nodeAffinity": {
                required: {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}, big]}
                    ]
                },
                preferred: [{"weight": 10, "preference": {"matchExpressions": [big]}}],
            },
            "podAffinity": {preferred: [{"weight": 1, "podAffinityTerm": term}]},
            "podAntiAffinity": {required: [term]},
        }


def test_pods_are_spread_over_nodes_unless_something_else_is_said() -> None:
    made = record(spec.Serving())
    (spread,) = made.pod_template["spec"]["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
    assert spread["labelSelector"] == {"matchLabels": names.selector("churn", made.revision)}


def test_variables_reach_what_holds_the_model_and_never_what_fetches_it() -> None:
    own = {"OMP_NUM_THREADS", "TZ"}
    assert variables(both(EVERYTHING)["server"]) == {
        "fetch": {"TMPDIR"},
        "prepare": {"TMPDIR", *own},
        "server": {"TMPDIR", *own},
    }
    assert variables(both(EVERYTHING)["trial"]) == {"fetch": {"TMPDIR"}, "trial": {"TMPDIR", *own}}


@pytest.mark.parametrize("name", ["LD_PRELOAD", "PYTHONPATH", "HOME", "TMPDIR", "PATH", "OPENSSL_CONF", "ORT_X"])
def test_no_variable_makes_the_server_run_a_file_of_the_package(name: str) -> None:
    """An older API server's rules may let it pass."""
    taken = spec.Serving(env=(placement.Variable(name=name, value="/evil"), placement.Variable(name="A", value="")))
    for template in both(taken).values():
        seen = variables(template)
        assert all(found <= {"TMPDIR", "A"} for found in seen.values())
    values_ = [one for one in both(taken)["server"]["spec"]["containers"][0]["env"] if one["name"] == "TMPDIR"]
    assert values_ == [{"name": "TMPDIR", "value": templates.WORK}]
    assert [name in fault for fault in taken.faults()] == [True]


def test_a_limit_of_disk_bounds_the_volume_that_the_files_are_in() -> None:
    for template in both(EVERYTHING).values():
        (work,) = (one for one in template["spec"]["volumes"] if one["name"] == "work")
        assert work["emptyDir"] == {"sizeLimit": "4Gi"}
        for one in (*template["spec"]["initContainers"], *template["spec"]["containers"]):
            assert one["resources"]["limits"]["ephemeral-storage"] == "4Gi"
    (work,) = (one for one in both(spec.Serving())["server"]["spec"]["volumes"] if one["name"] == "work")
    assert work["emptyDir"] == {}


PLATFORM = placement.Placement(
    node_selector={"pool": "models"},
    tolerations=(placement.Toleration(key="models", operator=placement.TolerationOperator.EXISTS),),
    image_pull_secrets=(SecretReference(name="platform"),),
    priority_class_name="serving",
    env=(placement.Variable(name="OMP_NUM_THREADS", value="1"), placement.Variable(name="REGION", value="north")),
    pod_labels={"cost-centre": "ml", "team": "platform"},
)


@pytest.mark.parametrize("pod", ["server", "trial"])
def test_the_operators_defaults_stand_where_the_object_says_nothing(pod: str) -> None:
    template = both(spec.Serving(), PLATFORM)[pod]
    assert template["spec"]["nodeSelector"] == {"pool": "models"}
    assert template["spec"]["imagePullSecrets"] == [{"name": "platform"}]
    assert template["spec"]["priorityClassName"] == "serving"
    assert template["metadata"]["labels"]["cost-centre"] == "ml"


def test_maps_and_variables_are_joined_and_the_object_wins() -> None:
    template = both(EVERYTHING, PLATFORM)["server"]
    assert template["spec"]["nodeSelector"] == {"pool": "models", "disk": "ssd"}
    assert template["metadata"]["labels"]["team"] == "risk"
    assert template["spec"]["priorityClassName"] == "high"
    assert template["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    (server,) = template["spec"]["containers"]
    given = {one["name"]: one["value"] for one in server["env"]}
    assert given == {"TMPDIR": "/work", "OMP_NUM_THREADS": "2", "TZ": "Europe/Oslo", "REGION": "north"}


@pytest.mark.parametrize("serving", [spec.Serving(), EVERYTHING], ids=["nothing", "everything"])
def test_defaults_make_no_other_version_and_change_no_pod_that_is_there(serving: spec.Serving) -> None:
    """Like the image: other defaults are for what comes, so that changing them restarts nothing."""
    wish = msgspec.structs.replace(worlds.spec("1"), serving=serving)
    before = record(serving)
    again = children.new_record(
        "churn", content=before.content, wish=wish, known={before.revision: before}, defaults=PLATFORM
    )
    assert again == before
    assert record(serving, PLATFORM).revision == before.revision


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
        ("openservicemesh.io/sidecar-injection", "disabled"),
        ("appmesh.k8s.aws/sidecarInjectorWebhook", "disabled"),
        ("injector.nsm.nginx.com/auto-inject", "false"),
    ],
)
def test_no_mesh_puts_a_proxy_that_never_ends_beside_a_trial(key: str, value: str) -> None:
    asked = spec.Serving(pod_labels={key: "true"}, pod_annotations={key: "enabled"})
    platform = placement.Placement(pod_labels={key: "true"}, pod_annotations={key: "enabled"})
    for serving, defaults in ((spec.Serving(), templates.NO_DEFAULTS), (asked, platform), (spec.Serving(), platform)):
        meta = both(serving, defaults)["trial"]["metadata"]
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
