"""Accidents in the middle of a rollout that once ended it wrongly: what must happen instead."""

from __future__ import annotations

from tests.unit.rollout import histories, surroundings

from seatrial.api.status import Commands, Phase, VerdictKind
from seatrial.rollout import report


def installed() -> surroundings.Surroundings:
    return surroundings.Surroundings().run(lambda one: one.status.phase is Phase.STABLE)


def in_canary() -> surroundings.Surroundings:
    world = installed()
    wants(world, "2")
    return world.run(lambda one: bool(one.status.candidate and one.status.candidate.weight))


def wants(world: surroundings.Surroundings, version: str) -> None:
    world.change(model=surroundings.worlds.spec(version).model)


def rejected(world: surroundings.worlds.World) -> bool:
    return any(one.verdict is VerdictKind.REJECTED for one in world.status.verdicts)


def test_a_candidate_is_guarded_by_the_last_readable_spec_while_the_present_one_is_not():
    world = in_canary()
    world.unreadable = "spec: rollout.steps: expected `array`"
    world.generation += 1
    world.error_share["2"] = 0.3
    world.run(rejected, limit=10)
    assert world.serving == "1"


def test_an_aborted_candidate_answers_on_while_stable_has_nobody():
    world = in_canary()
    world.room = 1
    for pod in [pod for pod in world.pods.values() if world.version(pod.revision) == "1"]:
        world.evict(pod)
    world.tokens = Commands(abort="stop")
    for _ in range(4):
        world.step()
    assert rejected(world)
    assert {world.version(pod.revision) for pod in world._selected()} == {"2"}
    world.heal()
    world.run(lambda one: {one.version(pod.revision) for pod in one._selected()} == {"1"})


def test_a_rejection_outlives_any_number_of_versions_after_it():
    world = in_canary()
    world.error_share["2"] = 0.3
    world.run(rejected)
    for number in range(30):
        wants(world, f"{number + 10}")
        world.step()
    wants(world, "2")
    world.weights.clear()
    for _ in range(20):
        world.step()
    assert set(world.weights) == {0}


def test_a_deleted_configuration_is_made_again_as_it_was():
    world = installed()
    world.trials.clear()
    [(of, before)] = world.configs.items()
    world.lose("ConfigMap", of)
    world.step()
    assert world.configs[of]["data"] == before["data"]
    assert world.reports[of].outcome is report.Outcome.PASSED


def test_a_stable_version_that_is_back_is_compared_before_a_takeover():
    world = in_canary()
    world.error_share["2"] = 0.9
    world.metrics = histories.Metrics.DOWN
    for pod in [pod for pod in world.pods.values() if world.version(pod.revision) == "1"]:
        world.evict(pod)
    world.room = 1
    world.run(
        lambda one: bool(one.status.candidate and one.status.candidate.promoting and not one.status.candidate.step)
    )
    world.heal()
    world.weights.clear()
    world.run(rejected)
    assert world.serving == "1"
    assert max(world.weights) < 100


def test_stable_grows_in_a_canary_though_somebody_has_deleted_its_record():
    world = in_canary()
    world.lose("ControllerRevision", world.status.stable.revision)
    world.change(replicas=4)
    world.run(lambda one: one.serving == "2", limit=60)


def test_a_superseded_version_leaves_though_somebody_has_deleted_its_record():
    world = in_canary()
    superseded = world.status.candidate.revision
    wants(world, "3")
    world.step()
    world.lose("ControllerRevision", superseded)
    world.run(lambda one: one.serving == "3", limit=60)
    assert superseded not in world.deployments


def test_the_way_back_is_kept_however_many_versions_were_refused_before_it():
    world = installed()
    world.change(revision_history_limit=2)
    for version in ("2", *map(str, range(10, 14)), "3"):
        world.error_share[version] = 0.0 if version in "23" else 0.5
        wants(world, version)
        world.run(lambda one, version=version: latest(one)[0] == version)
    assert world.serving == "3"
    world.run(lambda one: one.status.phase is Phase.STABLE)
    for _ in range(5):
        world.step()  # pods leave, then their Deployment goes, then the record would
    kept = {world.version(name) for name in world.records}
    assert kept == {"1", "2", "3", "12", "13"}, "of those that were promoted, and of those refused, each its own number"
    world.weights.clear()
    wants(world, "1")
    world.run(lambda one: one.serving == "1")
    assert set(world.weights) == {0, 100}


def latest(world: surroundings.worlds.World) -> tuple[str, VerdictKind]:
    return world.version(world.status.verdicts[0].revision), world.status.verdicts[0].verdict


def test_a_failing_candidate_leaves_though_somebody_has_deleted_its_record():
    world = in_canary()
    candidate = world.status.candidate.revision
    world.lose("ControllerRevision", candidate)
    world.error_share["2"] = 0.5
    world.run(rejected, limit=10)
    assert world.serving == "1"
    world.run(lambda one: candidate not in one.deployments or not one.snapshot().has_pods(candidate), limit=20)


def test_a_version_becomes_stable_though_somebodys_pod_carries_its_labels():
    world = in_canary()
    world.strangers["debugger"] = world.status.candidate.revision
    world.run(lambda one: one.serving == "2")
    world.run(lambda one: one.status.phase is Phase.STABLE)
    [said] = [one.message for one in world.status.conditions if one.type == "Routed"]
    assert "requests also reach pods that aren't ours and carry our labels (1 Ready)" in said


def condemned() -> surroundings.Surroundings:
    """The second version was set back in its soak, and the one before it no longer starts."""
    world = in_canary()
    world.run(lambda one: one.serving == "2")
    world.crashing.add("1")
    world.step()
    world.tokens = Commands(abort="stop")
    for _ in range(20):
        world.step()
    return world


def test_a_third_version_begins_though_the_one_before_a_condemned_one_no_longer_starts():
    world = condemned()
    assert world.status.stable.breach is not None
    wants(world, "3")
    world.run(lambda one: one.serving == "3", limit=60)


def test_a_version_before_a_condemned_one_that_starts_after_all_goes_before_a_third_one():
    world = condemned()
    world.trial_result = None
    wants(world, "3")
    world.step()
    world.crashing.clear()
    world.run(lambda one: one.serving == "1", limit=5)
    assert world.status.candidate.model_version == "3"


def test_a_paused_version_that_takes_over_for_a_stable_one_that_has_gone_does_not_say_that_it_waits():
    world = in_canary()
    world.tokens = Commands(pause="hold-on")
    world.step()
    world.crashing.add("1")
    said: dict[str, set[str]] = {}
    while world.serving == "1":
        world.step()
        told = world.condition("Ready")[1]
        said.setdefault(
            "goes on" if world.status.candidate and world.status.candidate.promoting else "held", set()
        ).add(told)
    assert "Paused" in said["held"]
    assert said["goes on"] <= {"Starting", "Promoting"}


def test_a_condemned_version_serves_on_and_says_so_where_the_one_before_it_was_deleted():
    world = in_canary()
    world.run(lambda one: one.serving == "2")
    before = world.status.previous.revision
    world.lose("ControllerRevision", before)
    world.lose("Deployment", before)
    world.tokens = Commands(abort="stop")
    for _ in range(3):
        world.step()
    assert world.status.stable.breach is not None
    [said] = [one.message for one in world.status.conditions if one.type == "Ready"]
    assert "there is no version before it: change the spec" in said
