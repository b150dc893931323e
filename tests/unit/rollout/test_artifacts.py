"""Credentials and volumes reach the containers that fetch, no others, and never restart a pod."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from tests.unit.rollout import world as worlds

from seatrial.api.spec import Dataset, SecretReference, Spec
from seatrial.api.status import Phase
from seatrial.rollout import artifacts, beside, children, report, revision, templates

REFUSED = report.Report(outcome=report.Outcome.REJECTED, reason="FetchRefused", message="denied")


def at(uri: str, *, secret: str | None = None, version: str = "1") -> Spec:
    wish = worlds.spec(version)
    reference = SecretReference(name=secret) if secret else None
    return msgspec.structs.replace(wish, model=msgspec.structs.replace(wish.model, uri=uri, secret_ref=reference))


def record(wish: Spec) -> revision.Record:
    content = revision.wanted(wish, name="churn", default_image="serving:1", known=())
    return children.new_record("churn", content=content, wish=wish, known={})


def containers(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    pod = template["spec"]
    return {one["name"]: one for one in [*pod.get("initContainers", []), *pod["containers"]]}


def test_only_the_fetching_containers_get_the_secret() -> None:
    wish = at("s3://models/churn.onnx", secret="store")
    serving = containers(record(wish).pod_template)
    assert {name: one.get("envFrom") for name, one in serving.items()} == {
        "fetch": [{"secretRef": {"name": "store"}}],
        "prepare": None,
        "server": None,
    }


def test_only_the_fetching_containers_see_the_claim_and_cannot_write_to_it() -> None:
    template = record(at("pvc://shared-models/churn/7.onnx")).pod_template
    claim = {"claimName": "shared-models", "readOnly": True}
    assert {"name": "claim", "persistentVolumeClaim": claim} in template["spec"]["volumes"]
    serving = containers(template)
    mounts = {
        name: [mount for mount in one["volumeMounts"] if mount["name"] == "claim"] for name, one in serving.items()
    }
    assert mounts == {
        "fetch": [{"name": "claim", "mountPath": "/claim", "readOnly": True}],
        "prepare": [],
        "server": [],
    }
    assert {"name": "SEATRIAL_CLAIM", "value": "/claim"} in serving["fetch"]["env"]


def test_of_the_trial_too_only_the_fetching_container_gets_both() -> None:
    """The container that opens a model nobody has seen before holds no credentials."""
    trial = templates.trial("churn", record(at("pvc://shared-models/1.onnx", secret="store")), config="{}")
    parts = containers(trial)
    assert {name: one.get("envFrom") for name, one in parts.items()} == {
        "fetch": [{"secretRef": {"name": "store"}}],
        "trial": None,
    }
    mounts = {name: [mount["name"] for mount in one["volumeMounts"]] for name, one in parts.items()}
    assert mounts == {"fetch": ["config", "work", "claim"], "trial": ["config", "work"]}
    assert trial["spec"]["volumes"][-1]["name"] == "claim"
    assert trial["spec"]["automountServiceAccountToken"] is False


def test_the_trial_works_on_what_was_fetched() -> None:
    parts = containers(templates.trial("churn", record(at("https://models/churn.onnx")), config="{}"))
    assert (parts["fetch"]["args"][0], parts["fetch"]["args"][-1]) == ("fetch", "--for-trial")
    assert (parts["trial"]["args"][0], parts["trial"]["args"][-1]) == ("trial", "--fetched")


def dataset(name: str, uri: str, *, secret: str | None = None) -> Dataset:
    reference = SecretReference(name=secret) if secret else None
    return Dataset(name=name, uri=uri, sha256="d" * 64, secret_ref=reference)


def test_what_comes_from_another_place_comes_by_a_container_with_that_places_credentials_alone() -> None:
    candidate = record(at("s3://models/2.onnx", secret="store", version="2"))
    others = beside.Beside(
        model=artifacts.Artifact(*candidate.address),
        stable=record(at("s3://models/1.onnx", secret="store")),
        datasets=(
            dataset("pinned", "pvc://reviewed/pinned.npz"),
            dataset("more", "https://data/more.npz", secret="other"),
            dataset("again", "s3://models/again.npz", secret="store"),
        ),
    )
    told = others.document()
    assert told is not None
    assert (told["stable"]["way"], [one["way"] for one in told["datasets"]]) == (0, [1, 2, 0])
    assert (told["stable"]["version"], told["stable"]["uri"]) == ("1", "s3://models/1.onnx")
    template = templates.trial("churn", candidate, config="{}", others=others.ways[1:])
    parts = containers(template)
    assert {name: one.get("envFrom") for name, one in parts.items()} == {
        "fetch": [{"secretRef": {"name": "store"}}],
        "fetch-1": None,
        "fetch-2": [{"secretRef": {"name": "other", "optional": True}}],
        "trial": None,
    }
    assert parts["fetch-2"]["args"][-3:] == ["--for-trial", "--way", "2"]
    mounts = {name: [mount["name"] for mount in one["volumeMounts"]] for name, one in parts.items()}
    assert mounts["fetch-1"] == ["config", "work", "claim-1"]
    assert all("claim-1" not in mounts[name] for name in ("fetch", "fetch-2", "trial"))
    claim = {"claimName": "reviewed", "readOnly": True}
    assert {"name": "claim-1", "persistentVolumeClaim": claim} in template["spec"]["volumes"]


def test_a_first_version_without_datasets_is_tried_as_before() -> None:
    first = record(at("https://models/churn.onnx"))
    others = beside.Beside(model=artifacts.Artifact(*first.address))
    assert (others.document(), others.ways[1:]) == (None, ())


def test_without_them_the_template_has_no_trace_of_them() -> None:
    text = json.dumps(record(at("https://models/churn.onnx")).pod_template)
    assert "envFrom" not in text
    assert "laim" not in text


def moved(changed: Spec) -> tuple[worlds.World, dict[str, Any]]:
    """A stable version whose bytes are elsewhere now, and its Deployment before that."""
    world = worlds.World(at("http://store/1.onnx")).run(lambda one: one.status.phase is Phase.STABLE)
    (before,) = (one for (kind, _), one in world.applied.items() if kind == "Deployment")
    world.spec = changed
    for _ in range(3):
        world.step()
        assert world.status.phase is Phase.STABLE
        assert world.trials.keys() == world.records.keys()
    return world, before


def test_pods_that_are_rescheduled_fetch_the_same_bytes_from_where_they_are_now() -> None:
    world, before = moved(at("s3://elsewhere/1.onnx"))
    (config,) = world.configs.values()
    assert json.loads(config["data"]["config.json"])["model"]["uri"] == "s3://elsewhere/1.onnx"
    assert next(one for (kind, _), one in world.applied.items() if kind == "Deployment") == before
    (made,) = world.records.values()
    assert made.uri == "s3://elsewhere/1.onnx"


def test_another_secret_for_the_same_bytes_reaches_the_pods_in_place() -> None:
    world, before = moved(at("http://store/1.onnx", secret="other"))
    after = next(one for (kind, _), one in world.applied.items() if kind == "Deployment")
    assert after["metadata"] == before["metadata"]
    assert containers(after["spec"]["template"])["fetch"]["envFrom"] == [{"secretRef": {"name": "other"}}]


def test_an_address_corrected_during_the_trial_is_tried_at_once() -> None:
    world = worlds.World(at("http://wrong/1.onnx"))
    world.trial_result = None
    world.step()
    world.spec = at("http://right/1.onnx")
    world.step()
    (revision,) = world.trials
    assert "http://right/1.onnx" in str(world.applied["Job", revision])
    assert world.status.phase is Phase.TRIAL


def test_a_trial_that_failed_for_its_credentials_is_tried_again_with_others() -> None:
    world = worlds.World(at("s3://models/1.onnx", secret="wrong"))
    world.trial_result = lambda version: REFUSED
    world.run(lambda one: one.status.phase is Phase.STALLED)
    world.trial_result = lambda version: worlds.PASSED
    world.spec = at("s3://models/right.onnx", secret="right")
    world.run(lambda one: one.status.phase is Phase.STABLE)
    (made,) = world.records.values()
    assert (made.uri, made.secret) == ("s3://models/right.onnx", "right")
    assert containers(made.pod_template)["fetch"]["envFrom"] == [{"secretRef": {"name": "right"}}]


def test_the_second_address_is_tried_once_and_its_refusal_stands() -> None:
    world = worlds.World(at("s3://models/1.onnx"))
    world.trial_result = lambda version: REFUSED
    world.run(lambda one: one.status.phase is Phase.STALLED)
    world.spec = at("s3://models/also-wrong.onnx")
    world.step()
    assert world.status.phase is Phase.TRIAL
    world.run(lambda one: one.status.phase is Phase.STALLED)
    for _ in range(5):
        world.step()
        assert world.status.phase is Phase.STALLED


def test_another_address_is_no_pardon_for_a_regression() -> None:
    world = worlds.World(at("http://store/1.onnx")).run(lambda one: one.status.phase is Phase.STABLE)
    world.error_share["2"] = 0.5
    world.spec = at("http://store/2.onnx", version="2")
    world.run(lambda one: one.status.phase is Phase.ROLLED_BACK)
    world.spec = at("http://elsewhere/2.onnx", version="2")
    for _ in range(5):
        world.step()
        assert world.status.phase is Phase.ROLLED_BACK
