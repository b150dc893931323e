"""Events: posted once, bounded, and never in the way."""

from __future__ import annotations

import logging

import pytest
from tests.unit.cluster import memory

from seatrial.cluster import errors, events

CHURN = {
    "apiVersion": "seatrial.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"namespace": "shop", "name": "churn", "uid": "u-1", "resourceVersion": "7"},
}


class Bench:
    """Events over a cluster in memory."""

    def __init__(self) -> None:
        self.at = 0.0
        self.failures = 0
        self.cluster = memory.MemoryCluster()
        self.events = events.Events(self.cluster, instance="operator-0", failed=self._failed, monotonic=lambda: self.at)

    def _failed(self) -> None:
        self.failures += 1

    def posted(self) -> list[dict[str, object]]:
        return list(self.cluster.objects.values())


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_an_event_names_the_object_and_the_decision(bench: Bench) -> None:
    await bench.events.post(CHURN, type="Warning", reason="RolledBack", message="errors 2.2% against 0.5%")
    [event] = bench.posted()
    assert event["regarding"] == {
        "apiVersion": "seatrial.dev/v1alpha1",
        "kind": "ModelDeployment",
        "namespace": "shop",
        "name": "churn",
        "uid": "u-1",
        "resourceVersion": "7",
    }
    assert (event["type"], event["reason"], event["note"]) == ("Warning", "RolledBack", "errors 2.2% against 0.5%")


async def test_the_same_event_is_posted_once_in_a_while(bench: Bench) -> None:
    for _ in range(3):
        await bench.events.post(CHURN, type="Normal", reason="Promoted", message="7")
    assert len(bench.posted()) == 1
    bench.at += 601
    await bench.events.post(CHURN, type="Normal", reason="Promoted", message="7")
    assert len(bench.posted()) == 2


async def test_another_message_or_object_is_another_event(bench: Bench) -> None:
    other = {**CHURN, "metadata": {**CHURN["metadata"], "name": "fraud", "uid": "u-2"}}
    await bench.events.post(CHURN, type="Normal", reason="Promoted", message="7")
    await bench.events.post(CHURN, type="Normal", reason="Promoted", message="8")
    await bench.events.post(other, type="Normal", reason="Promoted", message="7")
    assert len(bench.posted()) == 3


async def test_a_long_message_is_cut_to_what_the_api_takes(bench: Bench) -> None:
    await bench.events.post(CHURN, type="Normal", reason="Promoted", message="é" * 2000)
    [event] = bench.posted()
    assert events.NOTE_LIMIT - 3 < len(str(event["note"]).encode()) <= events.NOTE_LIMIT


async def test_an_event_that_cant_be_posted_is_counted_and_tried_again_next_time(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(method: str) -> None:
        raise errors.Refused(403, reason="Forbidden", message="no")

    bench.cluster.before = refuse
    with caplog.at_level(logging.WARNING):
        await bench.events.post(CHURN, type="Normal", reason="Promoted", message="7")
    assert bench.failures == 1
    assert "event not posted" in caplog.text
    bench.cluster.before = lambda method: None
    await bench.events.post(CHURN, type="Normal", reason="Promoted", message="7")
    assert len(bench.posted()) == 1
