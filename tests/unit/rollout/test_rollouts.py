"""Whole rollouts in a small world: what a user sees from the change of a field to the verdict.

The world (world.py) gives every pod five seconds to become Ready and 50 requests/s to the Service; nothing sleeps.
"""

from __future__ import annotations

import base64
import gzip
import json
from datetime import timedelta

import msgspec
import pytest
from click.testing import CliRunner
from tests.unit.rollout import woken
from tests.unit.rollout import world as worlds

from seatrial.api.spec import Duration, InsufficientTraffic, Step
from seatrial.api.status import Commands, Phase, VerdictKind
from seatrial.cli import replay
from seatrial.rollout import names, recording


def settled(world: worlds.World) -> bool:
    return world.status.phase is Phase.STABLE


def verdicts(world: worlds.World) -> list[tuple[str, str, str]]:
    return [(one.model_version, one.verdict.value, one.reason.value) for one in world.status.verdicts]


def installed(**changes: object) -> worlds.World:
    return woken.World(worlds.spec("1", **changes)).run(settled)


def in_canary(world: worlds.World, version: str = "2", *, step: int = 1) -> worlds.World:
    world.spec = worlds.spec(version)
    return world.run(
        lambda one: bool(one.status.candidate and one.status.candidate.step >= step and one.status.candidate.weight)
    )


def rolled_back(world: worlds.World) -> bool:
    return world.condition("Stalled")[0] == "True"


def test_a_first_install_becomes_stable_without_a_canary():
    world = installed()
    assert (world.serving, world.condition("Ready"), set(world.weights)) == ("1", ("True", "Promoted"), {0, 100})


def failing_first() -> worlds.World:
    world = woken.World(worlds.spec("1"))
    world.error_share["1"] = 0.9
    return world.run(lambda one: bool(one.status.verdicts) and one.status.verdicts[0].verdict is VerdictKind.REJECTED)


def test_a_first_version_that_fails_is_not_ready_and_serves_on_because_nobody_else_can():
    world = failing_first()
    assert verdicts(world)[0] == ("1", "Rejected", "RegressedAfterPromotion")
    for _ in range(10):
        world.step()
        assert world._selected()
    assert (world.serving, world.condition("Ready")) == ("1", ("False", "RegressedAfterPromotion"))


def test_the_version_after_a_failing_first_one_takes_over_at_once():
    world = failing_first()
    world.spec = worlds.spec("2")
    world.run(lambda one: one.serving == "2")
    assert 10 not in world.weights
    world.run(settled)


def test_a_good_version_goes_through_every_step_and_is_promoted_in_place():
    world = installed()
    world.spec = worlds.spec("2")
    world.run(lambda one: one.serving == "2")
    pods_at_promotion = set(world.pods)
    assert world.status.phase is Phase.SOAKING
    world.run(settled)
    assert [weight for weight in (10, 50, 100) if weight in world.weights] == [10, 50, 100]
    assert {pod for pod in world.pods if world.version(world.pods[pod].revision) == "2"} <= pods_at_promotion
    assert verdicts(world)[0] == ("2", "Promoted", "Promoted")


def test_the_old_version_is_warm_during_the_soak_and_scaled_to_zero_after_it():
    world = installed()
    world.spec = worlds.spec("2")
    world.run(lambda one: one.serving == "2")
    assert sum(world.version(pod.revision) == "1" and pod.ready for pod in world.pods.values()) == 2
    world.run(settled)
    world.run(lambda one: all(one.version(pod.revision) == "2" for pod in one.pods.values()))


def test_a_version_that_fails_requests_is_rolled_back_with_the_numbers_in_the_message():
    world = in_canary(installed())
    world.error_share["2"] = 0.2
    world.run(rolled_back)
    rollback = world.status.last_rollback
    assert (world.serving, verdicts(world)[0][:2]) == ("1", ("2", "Rejected"))
    assert rollback is not None
    assert "errors: candidate" in rollback.message
    world.run(lambda one: one.status.last_rollback.zero_weight_at is not None)
    world.run(lambda one: all(one.version(pod.revision) == "1" for pod in one.pods.values()))


def test_the_evidence_kept_with_a_rollback_replays_to_the_same_verdict():
    world = in_canary(installed())
    world.error_share["2"] = 0.2
    world.run(rolled_back)
    kept = gzip.decompress(base64.b64decode(world.evidence["binaryData"][recording.FILE]))
    replayed = CliRunner().invoke(replay.command, ["-"], input=kept)
    assert replayed.exit_code == 0, replayed.output
    last = json.loads(replayed.output.splitlines()[-1])
    assert (last["outcome"], last["reason"]) == ("Fail", world.status.verdicts[0].reason.value)


def test_a_shared_outage_does_not_blame_the_candidate():
    world = in_canary(installed())
    world.error_share.update({"1": 0.2, "2": 0.2})
    for _ in range(12):
        world.step()
    assert world.status.phase is Phase.CANARY
    assert world.condition("Ready") == ("False", "StableAlsoBreaching")


def test_a_refused_model_never_has_a_serving_pod():
    world = installed()
    world.trial_result = lambda version: worlds.REJECTED
    world.spec = worlds.spec("2")
    world.run(rolled_back)
    assert world.condition("Ready") == ("False", "ModelRejected")
    assert {world.version(name) for name in world.deployments} == {"1"}


def test_a_rejected_version_is_not_tried_again_without_a_token():
    world = installed()
    world.trial_result = lambda version: worlds.REJECTED
    world.spec = worlds.spec("2")
    world.run(rolled_back)
    for _ in range(20):
        world.step()
    assert len(world.status.verdicts) == 2
    world.trial_result = lambda version: worlds.PASSED
    world.tokens = Commands(retry="again-1")
    world.run(lambda one: one.serving == "2")
    assert world.status.commands.retry == "again-1"


def test_another_version_during_the_canary_supersedes_the_candidate_without_a_memory_against_it():
    world = in_canary(installed())
    world.spec = worlds.spec("3")
    world.run(lambda one: one.serving == "3")
    assert ("2", "Superseded", "Superseded") in verdicts(world)


def test_going_back_to_stable_during_the_canary_is_ready_at_once():
    world = in_canary(installed())
    world.spec = worlds.spec("1")
    world.step()
    assert (world.serving, world.condition("Ready")) == ("1", ("True", "Promoted"))
    assert world.status.candidate is None


def test_a_return_to_a_promoted_version_skips_trial_and_canary():
    world = installed()
    world.spec = worlds.spec("2")
    world.run(settled)
    world.run(lambda one: one.serving == "2" and one.status.phase is Phase.STABLE)
    world.weights.clear()
    world.spec = worlds.spec("1")
    world.run(lambda one: one.serving == "1")
    assert set(world.weights) == {0, 100}


def test_a_regression_during_the_soak_flips_back_to_the_warm_version():
    world = installed()
    world.spec = worlds.spec("2", rollout=msgspec.structs.replace(worlds.spec().rollout, soak=Duration.parse("5m")))
    world.run(lambda one: one.serving == "2")
    world.error_share["2"] = 0.3
    world.run(lambda one: one.serving == "1")
    world.run(rolled_back)
    assert verdicts(world)[0] == ("2", "Rejected", "RegressedAfterPromotion")


def test_pods_that_never_become_ready_are_rejected_at_the_start_timeout():
    world = installed()
    world.stuck.add("2")
    world.spec = worlds.spec("2")
    world.run(rolled_back)
    assert verdicts(world)[0] == ("2", "Rejected", "StartTimeout")
    assert set(world.weights) == {0, 100}


def test_without_prometheus_the_weight_is_held_then_zero_without_a_verdict_and_resumed():
    world = in_canary(installed())
    world.prometheus_down = True
    world.step()
    assert world.status.candidate.weight == 10
    world.run(lambda one: one.status.candidate.weight == 0)
    assert world.condition("Ready") == ("False", "MetricsUnavailable")
    assert len(world.status.verdicts) == 1
    world.prometheus_down = False
    world.run(lambda one: one.serving == "2")


@pytest.mark.long
def test_without_traffic_to_judge_from_nothing_is_promoted():
    world = installed()
    steps = tuple(msgspec.structs.replace(step, min_requests=10**6) for step in worlds.STEPS)
    wish = msgspec.structs.replace(worlds.spec("2").rollout, steps=steps, step_timeout=Duration.parse("1m"))
    world.spec = worlds.spec("2", rollout=wish)
    world.run(lambda one: one.condition("Ready")[1] == "InsufficientTraffic")
    for _ in range(20):
        world.step()
    assert world.serving == "1"
    promote = msgspec.structs.replace(wish, on_insufficient_traffic=InsufficientTraffic.PROMOTE)
    world.spec = worlds.spec("2", rollout=promote)
    world.run(lambda one: one.serving == "2")


def test_a_pause_waits_for_the_promote_command():
    world = installed()
    steps = (msgspec.structs.replace(worlds.STEPS[0], pause=True), worlds.STEPS[1])
    world.spec = worlds.spec("2", rollout=msgspec.structs.replace(worlds.spec().rollout, steps=steps))
    world.run(lambda one: one.status.phase is Phase.PAUSED)
    for _ in range(10):
        world.step()
    assert world.status.phase is Phase.PAUSED
    world.tokens = Commands(promote="ok-1/full")
    world.run(lambda one: one.serving == "2")
    assert 50 not in world.weights


def test_the_abort_command_ends_the_canary_and_the_version_counts_as_rejected():
    world = in_canary(installed())
    world.tokens = Commands(abort="stop-1")
    world.run(rolled_back)
    assert verdicts(world)[0] == ("2", "Rejected", "Aborted")


def test_a_crash_looping_candidate_is_rejected_with_its_own_words():
    world = in_canary(installed())
    name = next(pod for pod in world.pods if world.version(world.pods[pod].revision) == "2")
    world.pods[name] = msgspec.structs.replace(
        world.pods[name], ready=False, crash_looping=True, trouble="server: out of memory"
    )
    world.step()
    assert verdicts(world)[0] == ("2", "Rejected", "CrashLoop")
    assert "out of memory" in world.status.verdicts[0].message


def test_changing_replicas_alone_is_no_rollout():
    world = installed()
    world.spec = worlds.spec("1", replicas=4)
    world.run(lambda one: sum(pod.ready for pod in one.pods.values()) == 4)
    assert len(world.status.verdicts) == 1


def test_a_clock_that_jumps_ahead_advances_no_step():
    world = in_canary(installed())
    step = world.status.candidate.step
    world.now += timedelta(minutes=5)
    plan = world.plan()
    assert plan.status.candidate.step == step


def with_steps(*steps: Step) -> dict[str, object]:
    return {"rollout": msgspec.structs.replace(worlds.spec().rollout, steps=steps)}


FULL = msgspec.structs.replace(worlds.STEPS[0], weight=100)


def test_a_step_with_all_traffic_is_judged_without_stable_beside_it():
    world = installed()
    world.spec = worlds.spec("2", **with_steps(worlds.STEPS[0], FULL))
    world.run(lambda one: one.serving == "2")


def test_a_step_with_all_traffic_can_wait_for_approval():
    world = installed()
    world.spec = worlds.spec("2", **with_steps(worlds.STEPS[0], msgspec.structs.replace(FULL, pause=True)))
    world.run(lambda one: one.status.phase is Phase.PAUSED)
    assert world.status.candidate.weight == 100
    world.tokens = Commands(promote="ok-1")
    world.run(lambda one: one.serving == "2")


def test_a_regression_with_all_traffic_goes_back_to_stable():
    world = installed()
    world.spec = worlds.spec("2", **with_steps(worlds.STEPS[0], msgspec.structs.replace(FULL, pause=True)))
    world.run(lambda one: one.status.phase is Phase.PAUSED)
    world.error_share["2"] = 0.3
    world.run(rolled_back)
    assert world.serving == "1"


LONG_SOAK = {"rollout": msgspec.structs.replace(worlds.spec().rollout, soak=Duration.parse("10m"))}


def test_a_rollout_may_start_during_a_soak():
    world = installed()
    world.spec = worlds.spec("2", **LONG_SOAK)
    world.run(lambda one: one.serving == "2")
    world.spec = worlds.spec("3", **LONG_SOAK)
    world.run(lambda one: one.serving == "3")
    assert [verdict[0] for verdict in verdicts(world)] == ["3", "2", "1"]


def test_a_regression_in_a_soak_is_found_while_the_next_version_starts():
    world = installed()
    world.spec = worlds.spec("2", **LONG_SOAK)
    world.run(lambda one: one.serving == "2")
    world.stuck.add("3")
    world.spec = worlds.spec("3", **LONG_SOAK)
    world.run(lambda one: bool(one.status.candidate and one.status.candidate.started_at))
    world.error_share["2"] = 0.3
    world.run(lambda one: one.serving == "1")
    assert verdicts(world)[0] == ("2", "Rejected", "RegressedAfterPromotion")


def test_a_return_to_the_warm_version_is_quick():
    world = installed()
    world.spec = worlds.spec("2", **LONG_SOAK)
    world.run(lambda one: one.serving == "2")
    world.spec = worlds.spec("1", **LONG_SOAK)
    world.run(lambda one: one.serving == "1", limit=4)
    assert world.status.candidate is None


def test_a_rejected_first_version_loses_its_pods():
    world = woken.World(worlds.spec("1"))
    world.run(lambda one: bool(one.pods))
    name = next(iter(world.pods))
    world.pods[name] = msgspec.structs.replace(world.pods[name], crash_looping=True, trouble="server: boom")
    world.run(rolled_back)
    world.run(lambda one: not one.pods)


def test_a_promoted_version_that_crashes_under_full_load_gives_way_to_the_warm_one():
    world = installed()
    world.spec = worlds.spec("2")
    world.run(lambda one: one.status.phase is Phase.SOAKING)
    name = next(name for name, pod in world.pods.items() if world.version(pod.revision) == "2")
    world.pods[name] = msgspec.structs.replace(world.pods[name], crash_looping=True, trouble="server: out of memory")
    world.run(rolled_back)
    assert world.serving == "1"
    assert verdicts(world)[0] == ("2", "Rejected", "CrashLoop")
    assert "out of memory" in world.status.verdicts[0].message


def test_a_wrong_address_can_be_corrected_and_tried_again():
    world = installed()
    world.trial_result = lambda version: worlds.REJECTED
    wrong = worlds.spec("2")
    world.spec = wrong
    world.run(rolled_back)
    world.trial_result = lambda version: worlds.PASSED
    world.spec = msgspec.structs.replace(wrong, model=msgspec.structs.replace(wrong.model, uri="http://right/2.onnx"))
    world.tokens = Commands(retry="again-1")
    world.run(lambda one: one.serving == "2")
    for kind in ("Job", "ConfigMap"):
        assert "http://right/2.onnx" in str(world.applied[kind, world.status.stable.revision])


@pytest.mark.long
def test_pods_that_vanish_in_the_canary_end_it_at_the_start_timeout():
    world = in_canary(installed())
    world.stuck.add("2")
    world.run(rolled_back)
    assert verdicts(world)[0] == ("2", "Rejected", "StartTimeout")


def test_the_first_weight_waits_until_stable_has_all_its_pods():
    world = installed()
    world.spec = worlds.spec("2")
    world.run(lambda one: any(pod.ready for pod in one.pods.values() if one.version(pod.revision) == "2"))
    world.spec = msgspec.structs.replace(world.spec, replicas=3)
    world.run(lambda one: "stable pods are missing" in str(one.status.conditions))
    assert world.status.candidate.weight == 0
    world.run(lambda one: one.status.candidate.weight > 0)


def lose_pods(world: worlds.World, version: str) -> None:
    world.stuck.add(version)
    for name, pod in world.pods.items():
        world.pods[name] = msgspec.structs.replace(pod, ready=pod.ready and world.version(pod.revision) != version)


def test_a_stable_version_whose_pods_never_come_back_is_replaced_by_a_ready_candidate():
    world = installed()
    lose_pods(world, "1")
    world.spec = worlds.spec("2")
    lost = world.now
    world.run(lambda one: one.serving == "2")
    assert world.now - lost >= world.spec.rollout.start_timeout
    world.run(settled)


def test_an_operator_that_was_away_sees_that_stable_is_back():
    world = installed()
    lose_pods(world, "1")
    world.spec = worlds.spec("2")
    world.run(lambda one: one.status.stable.missing_since is not None and one.status.phase is Phase.STARTING)
    world.now += world.spec.rollout.start_timeout
    world.stuck.clear()
    for name, pod in world.pods.items():
        world.pods[name] = msgspec.structs.replace(pod, ready=True)
    world.step()
    assert not world.status.candidate.promoting


@pytest.mark.long
def test_a_candidate_keeps_its_share_while_stable_has_no_pod_to_take_it():
    world = in_canary(installed())
    lose_pods(world, "1")
    for _ in range(40):  # longer than blindTimeout, shorter than startTimeout
        world.step()
        assert world.status.candidate.weight > 0
    world.stuck.clear()
    world.run(lambda one: one.serving == "2")
    assert 50 in world.weights  # it went on step by step


def test_stable_pods_that_come_back_in_time_are_compared_with():
    world = installed()
    lose_pods(world, "1")
    world.spec = worlds.spec("2")
    for _ in range(40):
        world.step()
    world.stuck.clear()
    world.run(lambda one: one.status.candidate is not None and one.status.candidate.step == 2)


@pytest.mark.long
def test_a_candidate_whose_pods_fail_under_all_traffic_gives_it_back():
    world = installed()
    world.spec = worlds.spec("2")
    world.run(lambda one: one.status.candidate is not None and one.status.candidate.weight == 100)
    lose_pods(world, "2")
    world.run(lambda one: one.routed[names.REVISION] == one.status.stable.revision)
    assert world.serving == "1"
    world.run(rolled_back)
    assert verdicts(world)[0] == ("2", "Rejected", "StartTimeout")
