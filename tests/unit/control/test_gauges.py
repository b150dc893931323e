"""The series of a rollout say what its status says, at every moment of one."""

from __future__ import annotations

import msgspec
import prometheus_client
import pytest
from tests.unit.rollout import world as worlds
from tests.unit.rollout.test_rollouts import in_canary, installed, rolled_back, settled

from seatrial.api.status import Status
from seatrial.control import gauges
from seatrial.control.queue import Key
from seatrial.rollout import planner

CHURN = Key("shop", "churn")


def one(status: Status, name: str) -> tuple[tuple[str, ...], float] | None:
    found = [(labels, value) for series, labels, value in gauges.samples(status) if series == f"seatrial_{name}"]
    assert len(found) <= 1
    return found[0] if found else None


def roles(status: Status) -> dict[str, str]:
    name = "seatrial_modeldeployment_revision_info"
    return {labels[0]: labels[2] for series, labels, _ in gauges.samples(status) if series == name}


def half(world: worlds.World) -> bool:
    return world.status.candidate is not None and world.status.candidate.weight == 50


def test_a_canary_shows_who_is_who_and_both_shares() -> None:
    world = in_canary(installed()).run(half)
    world.run(lambda now: bool(now.status.traffic and now.status.traffic.measured_share))
    assert roles(world.status) == {"stable": "1", "candidate": "2"}
    info = one(world.status, "modeldeployment_info")
    assert info is not None
    assert (info[0][0], info[0][2]) == ("Canary", "Service")
    assert one(world.status, "rollout_weight_ratio") == ((), 0.5)
    seen = one(world.status, "rollout_share_ratio")
    assert seen is not None
    assert 0 < seen[1] < 1


def failing() -> worlds.World:
    world = installed()
    world.error_share["2"] = 0.5
    return in_canary(world)


def test_evidence_has_passed_its_bound_where_the_candidate_was_rolled_back() -> None:
    world = failing().run(rolled_back)
    parts = {
        labels: value
        for name, labels, value in gauges.samples(world.status)
        if name == "seatrial_rollout_evidence_ratio"
    }
    assert parts["errors",] >= 1
    assert 0 <= parts["rejections",] < 1
    last = one(world.status, "modeldeployment_last_rollback_timestamp_seconds")
    verdict = one(world.status, "modeldeployment_last_verdict_timestamp_seconds")
    assert last is not None
    assert last[0] == ("ErrorsRegressed",)
    assert verdict is not None
    assert verdict[0] == ("2", "Rejected", "ErrorsRegressed")


def test_after_a_promotion_nothing_is_left_of_the_candidate() -> None:
    world = in_canary(installed()).run(settled)
    assert roles(world.status) == {"stable": "2"}
    assert one(world.status, "rollout_weight_ratio") == ((), 0)
    assert one(world.status, "rollout_share_ratio") is None


def test_evidence_of_the_step_before_is_not_taken_for_that_of_this_one() -> None:
    world = in_canary(installed()).run(half)
    (first, *_) = (one for one in world.written if one.candidate is not None and one.candidate.weight == 50)
    shown = [name for name, *_ in gauges.samples(first)]
    assert "seatrial_rollout_evidence_ratio" not in shown


@pytest.mark.parametrize("share", ["", "x", "%", "nan%", "1e999%", "12", "-3%"])
def test_a_share_that_somebody_spoilt_is_not_shown_and_stops_no_pass(share: str) -> None:
    world = in_canary(installed()).run(half)
    assert world.status.traffic is not None
    spoilt = msgspec.structs.replace(world.status.traffic, measured_share=share)
    status = msgspec.structs.replace(world.status, traffic=spoilt)
    assert one(status, "rollout_share_ratio") is None
    planner.plan(msgspec.structs.replace(world.snapshot(), status=status), world.now)


def test_a_series_that_the_status_no_longer_has_is_removed() -> None:
    registry = prometheus_client.CollectorRegistry()
    shown = gauges.Gauges(registry)
    for status in in_canary(installed()).run(settled).written:
        shown.show(CHURN, status)
        now = {(name, labels): value for name, labels, value in gauges.samples(status)}
        assert {
            (sample.name, tuple(sample.labels[label] for label in sample.labels if not label.startswith("deployment")))
            for family in registry.collect()
            for sample in family.samples
        } == now.keys()
    shown.forget(CHURN)
    assert [sample for family in registry.collect() for sample in family.samples] == []
