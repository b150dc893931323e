"""The CRD in front of a real API server: accepted, filled as the types say, strict, and refusing with clear words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from tests.cluster.harness import apiserver, errors, paths
from tests.contract import established
from tests.unit.rollout import placed

from seatrial.api import crd, rules, schema, spec, status, values
from seatrial.cli import generate
from seatrial.rollout import revision

pytestmark = pytest.mark.apiserver

MODEL = {"uri": "https://models.example.com/churn/7/model.onnx", "sha256": "9f86d081" * 8}

TRAINED = {"cronJob": "churn-train", "uriPrefix": "oci://registry.example.com/churn"}

ACCEPTED = (
    "s3://models/churn/7.onnx",
    "gs://models/churn/7.onnx",
    "az://models/churn/7.onnx",
    "oci://registry.example.com:5000/models/churn:v7",
    "oci://registry.example.com/models/churn@sha256:" + "9f86d081" * 8,
    "pvc://shared-models/churn/7.onnx",
)

_PINNED = {"name": "pinned", "uri": "s3://datasets/pinned.npz", "sha256": "d" * 64}
_REQUIRED, _PREFERRED = (f"{one}DuringSchedulingIgnoredDuringExecution" for one in ("required", "preferred"))
_EXPRESSIONS = (
    ("nodeAffinity", _REQUIRED, "nodeSelectorTerms[]"),
    ("nodeAffinity", f"{_PREFERRED}[]", "preference"),
    *(
        (kind, *terms, "labelSelector")
        for kind in ("podAffinity", "podAntiAffinity")
        for terms in ((f"{_REQUIRED}[]",), (f"{_PREFERRED}[]", "podAffinityTerm"))
    ),
)


def _affinity(path: tuple[str, ...]) -> dict[str, Any]:
    """An affinity with one expression that compares with nothing, at this place."""
    node: dict[str, Any] = {"matchExpressions": [{"key": "app", "operator": "In"}]}
    for name in reversed(path):
        beside = {"topologyKey": "kubernetes.io/hostname"} if "labelSelector" in node else {}
        weight = {"weight": 1} if node.keys() & {"preference", "podAffinityTerm"} else {}
        own = {**node, **beside, **weight}
        node = {name.removesuffix("[]"): [own] if name.endswith("[]") else own}
    return node


def _outcomes(changes: dict[str, Any]) -> dict[str, Any]:
    """One outcome, and the feedback that it needs."""
    outcome = {"name": "conversion", "event": "sold", **changes}
    given = {name: value for name, value in outcome.items() if value is not None}
    return {"monitoring": {"feedback": {"events": ["sold"]}}, "analysis": {"outcomes": [given]}}


REFUSED: dict[str, dict[str, Any]] = {
    "spec.model.uri must be oci://registry/repository": {
        "model": {**MODEL, "uri": "oci://registry.example.com/models/churn"}
    },
    "spec.model.uri must be pvc://claim/path": {"model": {**MODEL, "uri": "pvc://shared-models/../other.onnx"}},
    "spec.model.uri must be s3://bucket/key": {"model": {**MODEL, "uri": "s3://models"}},
    "maxDisagreement must be between": {"quantization": {"maxDisagreement": "100.5%"}},
    "requests.cpu must be at most": {"serving": {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}}}},
    "requests.memory must be at most": {"serving": {"resources": {"requests": {"memory": 2**31}}}},
    "limits.timeout must be": {"serving": {"limits": {"timeout": "0s"}}},
    "maxBodyBytes must be": {"serving": {"limits": {"maxBodyBytes": "2Gi"}}},
    "cache.maxBytes must be": {"serving": {"cache": {"maxBytes": "1Ki"}}},
    "cache.ttl must be": {"serving": {"cache": {"ttl": "25h"}}},
    "podLabels must not have": {"serving": {"podLabels": {"seatrial.dev/revision": "a"}}},
    "podAnnotations must not have": {"serving": {"podAnnotations": {"seatrial.dev/config": "{}"}}},
    "requests.ephemeral-storage must be at most": {
        "serving": {"resources": {"requests": {"ephemeral-storage": "5Gi"}, "limits": {"ephemeral-storage": "4G"}}}
    },
    "env must have each name once": {
        "serving": {"env": [{"name": "TZ", "value": "UTC"}, {"name": "TZ", "value": "CET"}]}
    },
    "env[].name must not be a variable": {"serving": {"env": [{"name": "LD_PRELOAD", "value": "/x.so"}]}},
    **{
        f"{'.'.join(path)}.matchExpressions[] must have": {"serving": {"affinity": _affinity(path)}}
        for path in _EXPRESSIONS
    },
    "tolerations[] must have": {"serving": {"tolerations": [{"value": "gpu"}]}},
    "terminationGracePeriod must be": {"serving": {"terminationGracePeriod": "2h"}},
    "trial.timeout must be": {"trial": {"timeout": "25h"}},
    "trial.datasets must have a name each": {"trial": {"datasets": [_PINNED, _PINNED]}},
    "trial.datasets[].name must not be": {"trial": {"datasets": [{**_PINNED, "name": "holdout"}]}},
    "spec.trial.datasets[].uri must be s3://": {"trial": {"datasets": [{**_PINNED, "uri": "s3://bucket"}]}},
    "spec.trial.datasets[].uri must be oci://": {"trial": {"datasets": [{**_PINNED, "uri": "oci://r.example.com/m"}]}},
    "spec.trial.datasets[].uri must be pvc://": {"trial": {"datasets": [{**_PINNED, "uri": "pvc://shared/../x"}]}},
    "monitoring.samples.share must be": {"monitoring": {"samples": {"share": "0%", "sink": "http://sink"}}},
    "must have strictly increasing weights": {"rollout": {"steps": [{"weight": 50}, {"weight": 50}]}},
    "minDuration must be": {"rollout": {"steps": [{"weight": 50, "minDuration": "0s"}]}},
    "stepTimeout must be a duration": {"rollout": {"stepTimeout": "721h"}},
    "stepTimeout must be at least": {"rollout": {"steps": [{"weight": 5}, {"weight": 50, "minDuration": "31m"}]}},
    "must end with a weight above 0": {
        "rollout": {"steps": [{"weight": 0, "shadow": 10}], "traffic": {"provider": "Relay"}}
    },
    "must have a weight above 0, or a shadow": {"rollout": {"steps": [{"weight": 0}, {"weight": 50}]}},
    "shadow must be left out unless": {
        "rollout": {"steps": [{"weight": 10, "shadow": 5}], "traffic": {"provider": "Service"}}
    },
    "trustClientChoice only with provider Relay": {
        "rollout": {"traffic": {"provider": "Service", "sticky": "x-user-id"}}
    },
    "sticky must not be one of": {"rollout": {"traffic": {"provider": "Relay", "sticky": "seatrial-relayed"}}},
    "coverAfter must be a duration": {"rollout": {"traffic": {"provider": "Relay", "coverAfter": "0s"}}},
    "startTimeout must be": {"rollout": {"startTimeout": "0s"}},
    "soak must be": {"rollout": {"soak": "0s"}},
    "must have a gateway with provider": {"rollout": {"traffic": {"provider": "GatewayAPI"}}},
    "hostnames must have each host once": {
        "rollout": {
            "traffic": {
                "provider": "GatewayAPI",
                "gateway": {"parentRefs": [{"name": "front"}], "hostnames": ["a.example", "a.example"]},
            }
        }
    },
    "interval must be a duration": {"analysis": {"interval": "999ms"}},
    "blindTimeout must be a duration": {"analysis": {"blindTimeout": "25h"}},
    "blindTimeout must be at least": {"analysis": {"interval": "1m", "blindTimeout": "59s"}},
    "prometheus must have a url": {"analysis": {"prometheus": {}}},
    "prometheus.url must have no": {"analysis": {"prometheus": {"url": "http://prometheus:9090/?match[]=up"}}},
    "metrics must have a name": {"analysis": {"metrics": [{"name": "a", "query": "up", "max": 1}] * 2}},
    "metrics[] must have a max": {"analysis": {"metrics": [{"name": "a", "query": "up"}]}},
    "triggers must have each of": {"retraining": {**TRAINED, "triggers": ["Drift", "Drift"]}},
    "maxAge must be given with trigger Age": {"retraining": {**TRAINED, "triggers": ["Age"]}},
    "uriPrefix must be given unless": {"retraining": {"cronJob": "train"}},
    "maxAge must be a duration": {"retraining": {**TRAINED, "triggers": ["Age"], "maxAge": "1h", "minInterval": "1h"}},
    "minInterval must be a duration": {"retraining": {**TRAINED, "minInterval": "1m"}},
    "minInterval must be at most": {
        "retraining": {**TRAINED, "triggers": ["Age"], "maxAge": "24h", "minInterval": "48h"}
    },
    "retraining.timeout must be": {"retraining": {**TRAINED, "timeout": "1s"}},
    "uriPrefix must name a repository": {"retraining": {**TRAINED, "uriPrefix": "oci://registry.example.com"}},
    "uriPrefix must have no .": {"retraining": {**TRAINED, "uriPrefix": "s3://models/churn/../other"}},
    "drift.mode must be Watch": {
        "retraining": {**TRAINED, "triggers": ["Drift"]},
        "monitoring": {"drift": {"mode": "Off"}},
    },
    "falseRollbackRate must be": {"analysis": {"falseRollbackRate": "0%"}},
    "errors.max must be": {"analysis": {"errors": {"max": "101%"}}},
    "latency.threshold must be": {"analysis": {"latency": {"threshold": "0ms"}}},
    "latency.max must be": {"analysis": {"latency": {"max": "101%"}}},
    "answers.tolerance must be": {"analysis": {"answers": {"tolerance": "0.5%"}}},
    "drift.tolerance must be": {"monitoring": {"drift": {"tolerance": "0.5%"}}},
    "drift.invalid must be": {"monitoring": {"drift": {"invalid": "0.05%"}}},
    "drift.gross must be greater than 0%": {"monitoring": {"drift": {"gross": "96%"}}},
    "drift.gross must be greater than spec": {"monitoring": {"drift": {"gross": "20%", "tolerance": "20%"}}},
    "drift.falseAlarmRate must be": {"monitoring": {"drift": {"falseAlarmRate": "0%"}}},
    "drift.ignore must have": {"monitoring": {"drift": {"ignore": ["hash", "hash"]}}},
    "analysis.quality.tolerance must be": {
        "monitoring": {"feedback": {}},
        "analysis": {"quality": {"tolerance": "1001%"}},
    },
    "outcomes[].tolerance must be": _outcomes({"tolerance": "1001%"}),
    "outcomes[].delay must be": _outcomes({"delay": "25h"}),
    "outcomes must have a name each": _outcomes({"name": "errors"}),
    "outcomes[] must have selector and label": _outcomes({"source": "Prometheus"}),
    "outcomes[].selector must be": _outcomes(
        {"source": "Prometheus", "selector": "rate(orders_total[5m])", "label": "revision", "event": None}
    ),
    "outcomes[].event must be one of": _outcomes({"event": "bought"}),
    "analysis.quality must have spec": {"analysis": {"quality": {}}},
    "feedback.horizon must be": {"monitoring": {"feedback": {"horizon": "20m"}}},
    "quality.max must be": {"monitoring": {"feedback": {}, "quality": {"max": "0%"}}},
    "monitoring.quality.tolerance must be": {"monitoring": {"feedback": {}, "quality": {"tolerance": "1001%"}}},
    "monitoring.quality must have spec.monitoring.feedback": {"monitoring": {"quality": {}}},
    "monitoring.quality must be there where": {"retraining": {**TRAINED, "triggers": ["Quality"]}},
    "feedback.events must have": {"monitoring": {"feedback": {"events": ["sold", "sold"]}}},
    "feedback.valueCap must be": {"monitoring": {"feedback": {"valueCap": "0"}}},
    "feedback.within must not be": {"monitoring": {"feedback": {"within": "-1"}}},
}

BOUNDS = {
    "spec.model.sha256": {"model": {**MODEL, "sha256": "9F" * 32}},
    "spec.model.secretRef.name": {"model": {**MODEL, "secretRef": {"name": "Store"}}},
    "spec.model.uri": {"model": {**MODEL, "uri": "ftp://models.example.com/model.onnx"}},
    "spec.replicas": {"replicas": 0},
    "spec.quantization.mode": {"quantization": {"mode": "auto"}},
    "spec.rollout.steps": {"rollout": {"steps": []}},
    "spec.rollout.steps[0].weight": {"rollout": {"steps": [{"weight": 101}]}},
    "spec.rollout.soak": {"rollout": {"soak": "ten minutes"}},
    "spec.rollout.traffic.provider": {"rollout": {"traffic": {"provider": "Gateway"}}},
    "spec.rollout.traffic.gateway.parentRefs": {
        "rollout": {"traffic": {"provider": "GatewayAPI", "gateway": {"parentRefs": []}}}
    },
    "spec.rollout.traffic.gateway.hostnames[0]": {
        "rollout": {
            "traffic": {"provider": "GatewayAPI", "gateway": {"parentRefs": [{"name": "a"}], "hostnames": ["A_b"]}}
        }
    },
    "spec.rollout": {"rollout": {"stepTimeout": "1m", "steps": [{"weight": 50}]}},
    "spec.monitoring.drift.season": {"monitoring": {"drift": {"season": "48h"}}},
    "spec.monitoring.drift.mode": {"monitoring": {"drift": {"mode": "On"}}},
    "spec.model.version": {"model": {**MODEL, "version": 1.5}},
    "spec.serving.resources.limits.cpu": {"serving": {"resources": {"limits": {"cpu": 0.5}}}},
    "spec.serving.resources.limits.memory": {"serving": {"resources": {"limits": {"memory": "1 GiB"}}}},
    "spec.serving.cache.maxBytes": {"serving": {"cache": {"maxBytes": -1}}},
    "spec.analysis.errors.max": {"analysis": {"errors": {"max": "0.05"}}},
}


@pytest.fixture(scope="module")
def api() -> Iterator[apiserver.ApiServer]:
    with apiserver.running() as server:
        server.kubectl("apply", "-f", str(paths.REPO / "crds" / f"{crd.NAME}.yaml"))
        established.until_established(server)
        yield server


def manifest(name: str, **members: Any) -> str:
    return json.dumps(
        {
            "apiVersion": "seatrial.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"model": MODEL, **members},
        }
    )


def create(api: apiserver.ApiServer, text: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(api.kubectl("create", "-f", "-", "-o", "json", input=text))
    return answer


def refusal(api: apiserver.ApiServer, text: str) -> str:
    """What the API server says; nothing is stored even if it says yes."""
    with pytest.raises(errors.CommandFailed) as caught:
        api.kubectl("create", "--dry-run=server", "-f", "-", input=text)
    return str(caught.value)


def test_the_crd_is_established_without_a_complaint(api: apiserver.ApiServer) -> None:
    found = json.loads(api.kubectl("get", "crd", crd.NAME, "-o", "json"))
    conditions = {one["type"]: one["status"] for one in found["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}  # NonStructuralSchema would be a third


def test_the_smallest_object_gets_the_defaults_of_the_types(api: apiserver.ApiServer) -> None:
    stored = create(api, manifest("smallest"))["spec"]
    decoded = msgspec.convert(stored, spec.Spec, dec_hook=values.decode_hook)
    assert decoded == spec.Spec(model=spec.Model(**MODEL))


def test_everything_that_places_pods_is_stored_and_read_back(api: apiserver.ApiServer) -> None:
    serving = schema.sparse(placed.EVERYTHING)
    stored = create(api, manifest("placed", serving=serving))["spec"]
    assert {name: stored["serving"][name] for name in serving} == serving
    assert msgspec.convert(stored, spec.Spec, dec_hook=values.decode_hook).serving == placed.EVERYTHING


def test_a_list_is_stored_as_it_was_written(api: apiserver.ApiServer) -> None:
    steps = [{"weight": 10}, {"weight": 50, "minRequests": 500}]
    assert create(api, manifest("listed", rollout={"steps": steps}))["spec"]["rollout"]["steps"] == steps


def test_numbers_need_no_quotes(api: apiserver.ApiServer) -> None:
    """As YAML gives them when nobody quotes: every field that can be a bare number, as one."""

    def wish(number: Callable[[int], int | str]) -> dict[str, Any]:
        amounts = {"cpu": number(2), "memory": number(2**30)}
        serving = {
            "resources": {"requests": amounts, "limits": amounts},
            "limits": {"maxBodyBytes": number(2**20)},
            "cache": {"maxBytes": number(2**20)},
        }
        return {"model": {**MODEL, "version": number(7)}, "serving": serving}

    plain, quoted = (create(api, manifest(str(kind.__name__), **wish(kind)))["spec"] for kind in (int, str))
    assert plain["serving"]["resources"]["limits"]["cpu"] == 2, "stored as it was written"
    one, other = (msgspec.convert(each, spec.Spec, dec_hook=values.decode_hook) for each in (plain, quoted))
    assert one == other
    names = {revision.wanted(each, name="m", default_image="i", known=()).revision for each in (one, other)}
    assert len(names) == 1, "both ways of writing are one revision"


@pytest.mark.parametrize("uri", ACCEPTED)
def test_every_kind_of_store_is_accepted(api: apiserver.ApiServer, uri: str) -> None:
    text = manifest("stored", model={**MODEL, "uri": uri, "secretRef": {"name": "store"}})
    api.kubectl("create", "--dry-run=server", "-f", "-", input=text)


@pytest.mark.parametrize(
    "path", sorted((paths.REPO / "manifests" / "samples").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_samples_are_accepted(api: apiserver.ApiServer, path: Path) -> None:
    for sample in yaml.safe_load_all(path.read_text()):
        if sample["kind"] == "ModelDeployment":
            sample["metadata"]["namespace"] = "default"
            api.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(sample))


def test_what_artifact_hub_shows_is_this_kind_and_its_example_is_accepted(api: apiserver.ApiServer) -> None:
    told = yaml.safe_load((paths.REPO / generate.CHART / "Chart.yaml").read_text())["annotations"]
    [kind] = yaml.safe_load(told["artifacthub.io/crds"])
    served = crd.document()["spec"]
    assert (kind["name"], kind["kind"], kind["version"]) == (
        crd.NAME,
        served["names"]["kind"],
        served["versions"][0]["name"],
    )
    [example] = yaml.safe_load(told["artifacthub.io/crdsExamples"])
    api.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(example))


def test_a_partly_written_object_keeps_what_was_written(api: apiserver.ApiServer) -> None:
    stored = create(api, manifest("partly", serving={"resources": {"requests": {"cpu": "1"}}}))["spec"]
    assert stored["serving"]["resources"] == {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}
    decoded = msgspec.convert(stored, spec.Spec, dec_hook=values.decode_hook)
    assert decoded.serving.resources.requests == spec.ResourceList(cpu="1")


def test_an_unknown_field_is_refused_by_name(api: apiserver.ApiServer) -> None:
    assert 'unknown field "spec.rollout.stepz"' in refusal(api, manifest("unknown", rollout={"stepz": []}))


def test_every_rule_has_an_object_that_breaks_it() -> None:
    named = [rule for rule in rules.RULES if rule.field]
    broken = [[words for words in REFUSED if words in rule.message] for rule in named]
    assert [len(found) for found in broken] == [1] * len(named)
    assert len(REFUSED) == len(named)


@pytest.mark.parametrize("provider", [{}, {"provider": "Service"}, {"provider": "Relay"}], ids=str)
def test_a_gateway_needs_its_provider(api: apiserver.ApiServer, provider: dict[str, str]) -> None:
    traffic = {"gateway": {"parentRefs": [{"name": "front"}]}, **provider}
    assert "with provider GatewayAPI, and with no other" in refusal(api, manifest("a", rollout={"traffic": traffic}))


@pytest.mark.parametrize(("words", "members"), REFUSED.items(), ids=REFUSED)
def test_a_broken_rule_is_told_in_its_own_words(api: apiserver.ApiServer, words: str, members: dict[str, Any]) -> None:
    (rule,) = (rule for rule in rules.RULES if words in rule.message)
    said = refusal(api, manifest("refused", **members))
    assert rule.message in said
    assert said.count(" must ") == 1  # no second complaint distracts
    assert rule.field.replace("[]", "[0]") + ": Invalid value" in said


@pytest.mark.parametrize(("field", "members"), BOUNDS.items(), ids=BOUNDS)
def test_a_value_out_of_bounds_is_refused_with_its_field(
    api: apiserver.ApiServer, field: str, members: dict[str, Any]
) -> None:
    assert f"{field}: " in refusal(api, manifest("bounds", **members))


@pytest.mark.parametrize("name", ["7churn", "churn.v7"])
def test_a_name_that_no_service_can_have_is_refused(api: apiserver.ApiServer, name: str) -> None:
    assert "metadata.name must be lower-case letters" in refusal(api, manifest(name))


def test_a_name_too_long_for_the_trials_job_is_refused(api: apiserver.ApiServer) -> None:
    assert "metadata.name: Too long" in refusal(api, manifest("c" * 47))
    create(api, manifest("c" * 46))


def test_a_new_object_says_that_it_waits_for_the_operator(api: apiserver.ApiServer) -> None:
    first = msgspec.convert(create(api, manifest("waiting"))["status"], status.Status)
    assert first.observed_generation == -1
    assert [(one.type, str(one.status)) for one in first.conditions] == [
        ("Ready", "Unknown"),
        ("Available", "False"),
        ("Reconciling", "True"),
    ]


def test_a_written_status_is_stored_whole_and_leaves_the_spec_alone(api: apiserver.ApiServer) -> None:
    created = create(api, manifest("written"))
    moment = "2025-03-01T10:00:00.123Z"
    told = {
        "observedGeneration": 1,
        "phase": "Canary",
        "stable": {"revision": "aaa", "modelVersion": "7", "sha256": "9f", "precision": "fp32", "since": moment},
        "candidate": {"revision": "bbb", "modelVersion": "8", "sha256": "8e", "step": 1, "weight": 10},
        "lastRollback": {"from": "b", "to": "a", "reason": "ErrorsRegressed", "breachAt": moment},
        "commands": {"retry": "again-1"},
    }
    patch = json.dumps({"spec": {"replicas": 9}, "status": told})
    answer = api.kubectl(
        "patch", "mdeploy", "written", "--subresource=status", "--type=merge", "-p", patch, "-o", "json"
    )
    stored = json.loads(answer)
    assert {name: stored["status"][name] for name in told} == told
    assert stored["spec"] == created["spec"]
    assert stored["metadata"]["generation"] == 1


def test_scaling_changes_the_replicas_of_stable(api: apiserver.ApiServer) -> None:
    create(api, manifest("scaled"))
    api.kubectl("scale", "mdeploy", "scaled", "--replicas=5")
    patch = json.dumps({"status": {"replicas": 3, "selector": "seatrial.dev/revision=aaa"}})
    api.kubectl("patch", "mdeploy", "scaled", "--subresource=status", "--type=merge", "-p", patch)
    scale = json.loads(api.kubectl("get", "mdeploy", "scaled", "--subresource=scale", "-o", "json"))
    assert scale["spec"]["replicas"] == 5
    assert (scale["status"]["replicas"], scale["status"]["selector"]) == (3, "seatrial.dev/revision=aaa")


def test_the_columns_tell_state_and_versions(api: apiserver.ApiServer) -> None:
    create(api, manifest("shown"))
    narrow = api.kubectl("get", "mdeploy", "shown").splitlines()
    wide = api.kubectl("get", "seatrial", "-o", "wide").splitlines()
    assert narrow[0].split() == ["NAME", "READY", "STATUS", "STABLE", "CANDIDATE", "WEIGHT", "MEASURED", "AGE"]
    assert narrow[1].split()[:3] == ["shown", "Unknown", "Pending"]
    assert wide[0].split()[-4:] == ["MODEL", "PRECISION", "ENDPOINT", "MESSAGE"]
    assert any(line.endswith("Waiting for the operator.") for line in wide)


def test_explain_describes_a_field(api: apiserver.ApiServer) -> None:
    assert "Wait for the promote command" in api.kubectl("explain", "mdeploy.spec.rollout.steps.pause")
