"""What users and tools read of each situation: the table of the API, row by row, in the world of world.py."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from tests.unit.rollout import build, test_rollouts
from tests.unit.rollout import world as worlds

from seatrial.api import status
from seatrial.api.spec import Duration
from seatrial.api.status import Phase, Reason
from seatrial.rollout import bounds, conditions, facts, planner, statuses

ALWAYS = ("Ready", "Available", "Reconciling", "Stalled")
installed, in_canary, rolled_back = test_rollouts.installed, test_rollouts.in_canary, test_rollouts.rolled_back


def kstatus(obj: Mapping[str, Any]) -> str:
    """What kstatus makes of an object: Flux and Helm 4 wait by these rules."""
    said = obj.get("status", {})
    if "deletionTimestamp" in obj["metadata"]:
        return "Terminating"
    if said.get("observedGeneration", obj["metadata"]["generation"]) != obj["metadata"]["generation"]:
        return "InProgress"
    for condition in said.get("conditions", ()):
        match condition["type"], condition["status"]:
            case "Reconciling", "True":
                return "InProgress"
            case "Stalled", "True":
                return "Failed"
    for condition in said.get("conditions", ()):
        if condition["type"] == "Ready":
            return "Current" if condition["status"] == "True" else "InProgress"
    return "Current"


def read(seen: status.Status) -> str:
    return kstatus({"metadata": {"generation": 1}, "status": msgspec.to_builtins(seen)})


def just_created() -> worlds.World:
    return worlds.World(worlds.spec("1"))


def first_trial() -> worlds.World:
    return just_created().run(lambda one: one.status.phase is Phase.TRIAL)


def first_pods() -> worlds.World:
    return just_created().run(lambda one: bool(one.status.candidate and one.status.candidate.started_at))


def second_trial() -> worlds.World:
    world = installed()
    world.spec = worlds.spec("2")
    return world.run(lambda one: one.status.phase is Phase.TRIAL)


def second_pods() -> worlds.World:
    world = installed()
    world.spec = worlds.spec("2")
    return world.run(lambda one: one.status.phase is Phase.STARTING)


def idle() -> worlds.World:
    """Long after the first version's soak."""
    world = installed()
    for _ in range(10):
        world.step()
    return world


def paused() -> worlds.World:
    world = installed()
    steps = (msgspec.structs.replace(worlds.STEPS[0], pause=True),)
    world.spec = worlds.spec("2", **test_rollouts.with_steps(*steps))
    return world.run(lambda one: one.status.phase is Phase.PAUSED)


def blind() -> worlds.World:
    world = in_canary(installed())
    world.prometheus_down = True
    world.step()
    return world


def too_little_traffic() -> worlds.World:
    world = installed()
    steps = tuple(msgspec.structs.replace(step, min_requests=10**6) for step in worlds.STEPS)
    wish = msgspec.structs.replace(worlds.spec("2").rollout, steps=steps, step_timeout=Duration.parse("30s"))
    world.spec = worlds.spec("2", rollout=wish)
    return world.run(lambda one: one.condition("Ready")[1] == "InsufficientTraffic")


def soaking() -> worlds.World:
    world = installed()
    world.spec = worlds.spec("2")
    return world.run(lambda one: one.status.phase is Phase.SOAKING)


def soaking_blind() -> worlds.World:
    world = soaking()
    world.prometheus_down = True
    world.step()
    return world


def failed_canary() -> worlds.World:
    world = in_canary(installed())
    world.error_share["2"] = 0.2
    return world.run(rolled_back).run(lambda one: one.condition("Ready")[1] == "RolledBack")


def refused_model(world: worlds.World, version: str) -> worlds.World:
    world.trial_result = lambda version: worlds.REJECTED
    world.spec = worlds.spec(version)
    return world.run(lambda one: bool(one.status.conditions) and rolled_back(one))


@pytest.mark.parametrize(
    ("make", "ready", "available", "reconciling", "stalled", "reason", "read_as"),
    [
        pytest.param(first_trial, "False", "False", "True", "False", "TrialRunning", "InProgress", id="first trial"),
        pytest.param(first_pods, "False", "False", "True", "False", "Starting", "InProgress", id="first pods"),
        pytest.param(installed, "True", "True", "False", "False", "Promoted", "Current", id="installed"),
        pytest.param(second_trial, "False", "True", "True", "False", "TrialRunning", "InProgress", id="trial"),
        pytest.param(second_pods, "False", "True", "True", "False", "Starting", "InProgress", id="pods starting"),
        pytest.param(
            lambda: in_canary(installed()),
            "False",
            "True",
            "True",
            "False",
            "CanaryProgressing",
            "InProgress",
            id="canary",
        ),
        pytest.param(paused, "False", "True", "True", "False", "Paused", "InProgress", id="paused"),
        pytest.param(blind, "False", "True", "True", "False", "MetricsUnavailable", "InProgress", id="no data"),
        pytest.param(
            too_little_traffic,
            "False",
            "True",
            "True",
            "False",
            "InsufficientTraffic",
            "InProgress",
            id="little traffic",
        ),
        pytest.param(soaking, "True", "True", "False", "False", "Promoted", "Current", id="soaking"),
        pytest.param(soaking_blind, "True", "True", "False", "False", "Promoted", "Current", id="soaking, no metrics"),
        pytest.param(failed_canary, "False", "True", "False", "True", "RolledBack", "Failed", id="rolled back"),
        pytest.param(
            lambda: refused_model(installed(), "2"),
            "False",
            "True",
            "False",
            "True",
            "ModelRejected",
            "Failed",
            id="model",
        ),
        pytest.param(
            lambda: refused_model(just_created(), "1"),
            "False",
            "False",
            "False",
            "True",
            "ModelRejected",
            "Failed",
            id="first model",
        ),
    ],
)
def test_each_row_of_the_table(
    make: Callable[[], worlds.World], ready, available, reconciling, stalled, reason, read_as
):
    seen = make().status
    shown = {one.type: one.status.value for one in seen.conditions}
    assert [shown[kind] for kind in ALWAYS] == [ready, available, reconciling, stalled]
    assert next(one.reason for one in seen.conditions if one.type == "Ready") == reason
    assert read(seen) == read_as


def test_an_object_that_was_never_looked_at_is_in_progress():
    assert kstatus({"metadata": {"generation": 1}, "status": {"observedGeneration": -1}}) == "InProgress"


@pytest.mark.parametrize(
    ("make", "verified", "analyzed", "routed"),
    [
        pytest.param(first_trial, ("Unknown", "TrialRunning"), ("Unknown", "NothingRolling"), "True", id="first trial"),
        pytest.param(installed, ("True", "TrialPassed"), ("True", "MetricsAvailable"), "True", id="first soak"),
        pytest.param(idle, ("True", "TrialPassed"), ("Unknown", "NothingRolling"), "True", id="idle"),
        pytest.param(
            lambda: in_canary(installed()),
            ("True", "TrialPassed"),
            ("True", "MetricsAvailable"),
            "False",
            id="canary, the selector just changed",
        ),
        pytest.param(
            second_trial, ("Unknown", "TrialRunning"), ("True", "MetricsAvailable"), "True", id="second trial"
        ),
        pytest.param(blind, ("True", "TrialPassed"), ("False", "MetricsUnavailable"), "True", id="blind"),
        pytest.param(
            soaking_blind, ("True", "TrialPassed"), ("False", "MetricsUnavailable"), "True", id="soaking, no metrics"
        ),
        pytest.param(
            lambda: refused_model(idle(), "2"),
            ("False", "ModelRejected"),
            ("Unknown", "NothingRolling"),
            "True",
            id="model refused",
        ),
    ],
)
def test_conditions_that_apply_sometimes(make, verified, analyzed, routed):
    shown = {one.type: (one.status.value, one.reason) for one in make().status.conditions}
    assert (shown.get("Verified"), shown["Analyzed"], shown["Routed"][0]) == (verified, analyzed, routed)


def test_a_transition_time_moves_only_when_its_status_flips():
    written = failed_canary().written
    for before, after in itertools.pairwise(written):
        known = {one.type: one for one in before.conditions}
        for one in after.conditions:
            old = known.get(one.type, one)
            assert (one.last_transition_time != old.last_transition_time) <= (one.status is not old.status)


def test_replicas_and_selector_are_of_the_pods_that_stand_for_the_service():
    world = first_pods()
    world.step()
    assert (world.status.replicas, world.status.selector.count("seatrial.dev/revision=")) == (2, 1)
    world = in_canary(installed())
    assert world.status.stable is not None
    assert (world.status.replicas, world.status.stable.revision in world.status.selector) == (2, True)
    case = build.case(candidate=build.promoting(weight=100), pods=build.pods("2", True, False))
    after = planner.plan(case.snapshot, case.now).status
    assert (after.replicas, build.name_of("2") in after.selector) == (2, True)


def test_the_endpoint_is_of_the_model_that_serves():
    world = installed()
    before = world.status.endpoint
    assert before.endswith("/v2/models/churn")
    model = msgspec.structs.replace(worlds.spec("2").model, name="renamed")
    world.spec = msgspec.structs.replace(world.spec, model=model)
    in_canary = world.run(lambda one: one.status.candidate is not None and one.status.candidate.weight > 0)
    assert in_canary.status.endpoint == before
    assert world.run(lambda one: one.serving == "2").status.endpoint.endswith("/v2/models/renamed")


def test_leaving_pods_are_no_replicas():
    pods = (*build.pods("1", True), *build.pods("1", True, leaving=True))
    case = build.case(build.spec("1"), pods=pods)
    assert planner.plan(case.snapshot, case.now).status.replicas == 1


REFUSAL = facts.Refusal(reason=Reason.CHILD_REFUSED, message="pods is forbidden: exceeded quota")


def test_a_refused_child_shows_at_once_as_it_shows_at_the_next_look():
    case = build.case(build.spec("1"), endpoints=build.endpoints("1", v1=2))
    written = planner.plan(case.snapshot, case.now).status
    at_once = statuses.refused(case.snapshot, written, REFUSAL, now=case.now)
    again = msgspec.structs.replace(case.snapshot, status=at_once, refused=REFUSAL)
    assert planner.plan(again, build.at(99)).status == at_once
    assert read(at_once) == "Failed"
    assert {one.type for one in at_once.conditions} == {one.type for one in written.conditions}


def test_an_invalid_spec_keeps_every_fact_and_every_other_condition():
    before = soaking().status
    after = statuses.unreadable(before, generation=2, message="spec.replicas: must be a number", now=build.at(0))
    shown = {one.type: one for one in after.conditions}
    assert (shown["Ready"].reason, shown["Stalled"].status.value) == ("InvalidSpec", "True")
    assert shown.keys() == {one.type for one in before.conditions}
    assert (after.stable, after.previous, after.verdicts) == (before.stable, before.previous, before.verdicts)


# bounds


@pytest.mark.parametrize("limit", [10, bounds.SHORT, bounds.MESSAGE])
def test_a_text_is_cut_to_bytes_and_to_what_is_printable(limit):
    short = bounds.cut(build.HOSTILE, limit)
    assert len(short.encode()) <= limit
    assert short.isprintable()
    assert bounds.cut(short, limit) == short
    assert bounds.cut("fine") == "fine"


def test_the_longest_status_is_shortened_where_it_tells_least():
    long = build.longest_status()
    short = bounds.fitting(long)
    assert len(msgspec.json.encode(long)) > bounds.LIMIT
    assert len(msgspec.json.encode(short)) <= bounds.LIMIT
    assert bounds.fitting(short) == short
    assert (short.conditions[0], short.verdicts[0]) == (long.conditions[0], long.verdicts[0])
    assert [one.sha256 for one in short.retraining.runs] == ["f" * 64] * bounds.FEW_RUNS
    assert short.trial is not None
    assert short.trial.tests[0].outcome == "Fail"


def test_a_status_of_usual_length_is_left_alone():
    usual = soaking().status
    assert bounds.fitting(usual) is usual


def test_every_condition_that_a_rollout_has_is_in_the_catalogue():
    world = in_canary(installed())
    world.error_share["2"] = 0.3
    world.run(rolled_back)
    seen = {one.type for status in world.written for one in status.conditions}
    named = {value for name, value in vars(conditions).items() if name.isupper() and isinstance(value, str)}
    assert seen <= named
    assert named == conditions.MEANINGS.keys()
