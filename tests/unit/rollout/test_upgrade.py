"""The operator is upgraded, or downgraded, in the middle of a rollout: what the release before stored goes on.

golden/ holds one object for every stage, as the first release left it: status, children and pods, with no
notes on records and no number of the try on Jobs. They were made once, by that release in its own small world.
"""

from __future__ import annotations

import json
import pathlib
from datetime import datetime

import msgspec
import pytest
from tests.unit.rollout import world as worlds

from seatrial.api import placement, stored
from seatrial.api import stage as stages
from seatrial.api.spec import Duration
from seatrial.api.status import Candidate, Commands, Phase, Status, VerdictKind
from seatrial.control import reading
from seatrial.rollout import facts, names

GOLDEN = sorted((pathlib.Path(__file__).parent / "golden").glob("*.json"))
STAGES = [path.stem for path in GOLDEN]
VERDICT_REACHED = {"rolled-back", "rolled-back-draining", "refused"}
CANARIES = ("step-1-begun", "step-1", "step-2-weight-to-come", "step-2", "step-blind", "step-without-sight")
ROLLOUT = worlds.spec().rollout
CHANGES = {
    "paused": msgspec.structs.replace(
        ROLLOUT, steps=(msgspec.structs.replace(worlds.STEPS[0], pause=True), worlds.STEPS[1])
    ),
    "starting-in-a-soak": msgspec.structs.replace(ROLLOUT, soak=Duration.parse("10m")),
}


def document(stage: str) -> dict:
    return json.loads((pathlib.Path(__file__).parent / "golden" / f"{stage}.json").read_text())


def upgraded(stage: str) -> worlds.World:
    """The world that the release before left, with its stored objects as this one reads them."""
    left = document(stage)
    world = worlds.World(worlds.spec(left["wanted"], rollout=CHANGES.get(stage, ROLLOUT)))
    world.status, unread = stored.read(left["status"])
    assert not unread
    world.now = datetime.fromisoformat(left["now"])
    world.tokens = msgspec.convert(left["tokens"], Commands)
    for child in (*left["controllerRevisions"], *left["configMaps"]):
        world.put(child)
    world.deployments = left["deployments"]
    world.trials = {name: msgspec.convert(trial, facts.Trial) for name, trial in left["trials"].items()}
    for pod in left["pods"]:
        began = datetime.fromisoformat(pod["startedAt"])
        world.pods[pod["name"]] = facts.Pod(
            name=pod["name"], revision=pod["revision"], ready=pod["ready"], started_at=began
        )
    world.totals = {pod: [tuple(row) for row in rows] for pod, rows in left["totals"].items()}
    world.selector = world.routed = left["selector"]
    return world


def ended(world: worlds.World) -> bool:
    return world.status.phase is Phase.STABLE and world.serving == world.spec.model.version


def test_every_stage_is_there():
    seen = {type(stages.of(candidate)) for candidate in candidates()}
    assert seen == {stages.Trial, stages.Starting, stages.Step, stages.Promoting, stages.TakingOver}


def candidates() -> list[Candidate]:
    statuses = (msgspec.convert(document(stage)["status"], Status) for stage in STAGES)
    return [one.candidate for one in statuses if one.candidate is not None]


@pytest.mark.long
@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in VERDICT_REACHED])
def test_a_good_version_goes_on_from_every_stage_to_the_end(stage):
    world = upgraded(stage)
    if stage == "paused":
        for _ in range(5):
            world.step()
        assert world.status.phase is Phase.PAUSED
        world.tokens = Commands(promote="go-on/full")
    world.run(ended)
    assert all(verdict.verdict is not VerdictKind.REJECTED for verdict in world.status.verdicts)


@pytest.mark.parametrize("stage", sorted(VERDICT_REACHED))
def test_a_rejection_of_the_release_before_stands_and_is_noted_on_the_record(stage):
    world = upgraded(stage)
    for _ in range(30):
        world.step()
    assert (world.serving, world.weights[-1]) == ("1", 0)
    [rejected] = [one for one in world.status.verdicts if one.verdict is VerdictKind.REJECTED]
    assert world.notes[rejected.revision].mark.rejected
    world.trial_result = lambda version: worlds.PASSED
    world.tokens = Commands(retry="again")
    world.run(ended)


@pytest.mark.parametrize("stage", CANARIES)
def test_a_bad_version_is_still_found_out(stage):
    world = upgraded(stage)
    world.error_share["2"] = 0.3
    world.run(lambda one: one.condition("Stalled")[0] == "True")
    assert world.serving == "1"
    assert world.status.verdicts[0].verdict is VerdictKind.REJECTED


def test_a_regression_in_a_soak_that_the_release_before_began_goes_back():
    world = upgraded("soaking")
    world.error_share["2"] = 0.3
    world.run(lambda one: one.serving == "1")


@pytest.mark.long
@pytest.mark.parametrize("stage", CANARIES)
def test_a_rollout_of_the_release_before_ends_as_it_began_and_versions_relay_as_soon_as_both_can(stage):
    """The pods of versions that the release before made can't relay; nothing restarts for that."""
    world = upgraded(stage)
    providers: dict[str, set[str]] = {}
    for version in ("2", "3", "4"):
        world.spec = worlds.relayed(version)
        while not (world.status.phase is Phase.STABLE and world.serving == version):
            world.step()
            candidate = world.status.candidate
            if candidate is not None and candidate.weight:
                providers.setdefault(candidate.model_version, set()).add(candidate.provider or "Service")
    assert providers == {"2": {"Service"}, "3": {"Service"}, "4": {"Relay"}}
    assert world.events.count("ProviderUnavailable") == 1


@pytest.mark.parametrize("stage", CANARIES)
def test_an_object_that_names_no_provider_keeps_what_it_has_until_its_spec_changes(stage):
    """The release before knew Service only; Relay is what is asked for from the next change on."""
    world = upgraded(stage)
    world.spec = worlds.provided(world.spec, None)
    providers: list[tuple[str, str]] = []
    for version in ("2", "3", "4"):
        if version != "2":
            world.spec, world.generation = worlds.provided(worlds.spec(version), None), world.generation + 1
        while not (world.status.phase is Phase.STABLE and world.serving == version):
            world.step()
            candidate = world.status.candidate
            if candidate is not None and candidate.weight:
                providers.append((candidate.model_version, candidate.provider or "Service"))
        assert world.status.traffic.provider == ("Service" if version == "2" else "Relay")
    assert set(providers) == {("2", "Service"), ("3", "Service"), ("4", "Relay")}


@pytest.mark.parametrize("stage", STAGES)
def test_traffic_stays_where_the_release_before_left_it(stage):
    """Reading is no reason to move: the first pass changes neither weight nor selector but as the rules say."""
    world = upgraded(stage)
    before, selector = world.status, world.selector
    world.step()
    if before.stable is not None and before.candidate is None and stage != "rolled-back-draining":
        assert world.selector == selector
    if before.stable is not None:
        assert world.selector.get(names.REVISION) in {None, *revisions(before)}


def revisions(of: Status) -> set[str]:
    return {one.revision for one in (of.stable, of.previous, of.candidate) if one is not None}


@pytest.mark.parametrize("candidate", candidates(), ids=lambda one: one.model_version + one.revision[:3])
def test_what_is_written_is_what_the_release_before_can_read(candidate):
    """A downgrade: the fields that the stage is written to are those that it had, with the values that it gave them."""
    again = msgspec.to_builtins(stages.entered(candidate, stages.of(candidate)))
    told = msgspec.to_builtins(candidate)
    assert {name: again.get(name) for name in told} == told


def test_notes_are_only_ever_an_annotation_so_that_the_release_before_reads_the_record():
    world = upgraded("step-1")
    world.run(ended)
    for of in world.records:
        child = world.applied["ControllerRevision", of]
        bare = {**child, "metadata": {**child["metadata"], "annotations": {}}}
        assert reading.record(bare).content == world.records[of].content


@pytest.mark.parametrize("stage", STAGES)
def test_no_pod_that_is_there_becomes_another_whatever_the_new_operators_image_and_defaults(stage, monkeypatch):
    """A Deployment whose template changes replaces its pods: an upgrade would restart what serves."""
    platform = placement.Placement(node_selector={"pool": "models"}, pod_labels={"team": "ml"})
    newer = msgspec.structs.replace(worlds.OPERATOR, serving_image="seatrial.dev/serving:2", pods=platform)
    monkeypatch.setattr(worlds, "OPERATOR", newer)
    left = {one["metadata"]["labels"][names.REVISION]: one["data"] for one in document(stage)["controllerRevisions"]}
    world, applied = upgraded(stage), set()
    for _ in range(40):
        world.step()
        for (kind, of), child in world.applied.items():
            if kind == "Deployment" and of in left:
                assert child["spec"]["template"] == left[of]["podTemplate"]
                applied.add(of)
    assert applied >= {of for of in document(stage)["deployments"] if world.deployments.get(of)}
