"""What pods say of their relay: read beside the loop, believed while it is new, and rung for when it has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.unit.rollout import build
from tests.unit.rollout import relayed as relays

from seatrial.control import queue, reports
from seatrial.rollout import facts

KEY = queue.Key("shop", "churn")
TWO = build.name_of("2")


def exposition(ratio: float | None = None, in_flight: float | None = 0) -> bytes:
    labels = 'deployment="churn",revision="x"'
    lines = [f"seatrial_requests_total{{{labels}}} 7.0"]
    if ratio is not None:
        lines.append(f'seatrial_relay_ratio{{{labels},candidate="{TWO}"}} {ratio}')
    if in_flight is not None:
        lines.append(f"seatrial_relay_in_flight_requests{{{labels}}} {in_flight}")
    return "\n".join([*lines, ""]).encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (exposition(0.1, 3), {"ratio": {TWO: 0.1}, "in_flight": 3}),
        (exposition(0), {"ratio": {TWO: 0.0}}),
        (exposition(), {}),
        (exposition(in_flight=None), {"able": False}),
        (b"", {"able": False}),
    ],
    ids=["passes on", "has stopped", "never did", "knows no relay", "says nothing"],
)
def test_an_exposition_tells_what_is_passed_on(text, expected):
    assert reports.read(text, at=build.at(0)) == facts.RelayReport(at=build.at(0), **expected)


def test_what_is_no_exposition_tells_nothing():
    assert reports.read(b"seatrial_relay_ratio{ 1", at=build.at(0)) is None


class Pods:
    """Pods that answer, each as it is told to; a bell that can be waited for; a clock that is set."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | str | Exception] = {}
        self.asked: set[str] = set()
        self.fetched = asyncio.Event()
        self.seconds = 0.0
        self.bell = asyncio.Event()
        self.reports = reports.PodReports(self.fetch, ring=self.ring, clock=lambda: build.at(self.seconds))

    async def fetch(self, address: str) -> bytes | str:
        self.asked.add(address)
        self.fetched.set()
        answer = self.answers.get(address, "no answer within 2 s")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ring(self, key: queue.Key) -> None:
        assert key == KEY
        self.bell.set()

    async def rung(self) -> None:
        async with asyncio.timeout(60):
            await self.bell.wait()
        self.bell.clear()

    def ratios(self, seen: facts.Snapshot) -> dict[str, float | None]:
        """By pod of stable, as the pass gets it."""
        found = self.reports.attached(KEY, seen)
        return {
            pod.name: None if pod.relay is None else pod.relay.ratio.get(TWO)
            for pod in found.pods
            if pod.revision != TWO
        }


@pytest.fixture
async def pods() -> AsyncIterator[Pods]:
    made = Pods()
    yield made
    await made.reports.close()


async def test_a_pass_gets_what_is_known_and_is_rung_when_that_has_changed(pods):
    seen = relays.snapshot(status=relays.TAKEN_BACK)
    pods.answers = {"10.0.1.0": exposition(0.1), "10.0.1.1": exposition(0.1)}
    assert pods.ratios(seen) == {"v1-0": None, "v1-1": None}
    await pods.rung()
    assert pods.ratios(seen) == {"v1-0": 0.1, "v1-1": 0.1}
    pods.answers["10.0.1.1"] = exposition(0)
    await pods.rung()
    assert pods.ratios(seen) == {"v1-0": 0.1, "v1-1": 0.0}


async def test_what_comes_in_between_the_usual_questions_is_asked_at_once_when_it_is_urgent(pods, monkeypatch):
    monkeypatch.setattr(reports, "USUALLY", 3600.0)
    pods.answers = {"10.0.1.0": exposition(0.1)}
    pods.ratios(relays.snapshot())
    await pods.rung()
    pods.answers = {"10.0.1.0": exposition(0)}
    pods.ratios(relays.snapshot(status=relays.TAKEN_BACK))
    await pods.rung()


async def test_an_old_report_says_nothing(pods):
    seen = relays.snapshot(status=relays.TAKEN_BACK)
    pods.answers = {"10.0.1.0": exposition(0)}
    pods.ratios(seen)
    await pods.rung()
    pods.answers = {}
    pods.seconds = reports.OLD / timedelta(seconds=1)
    assert pods.ratios(seen)["v1-0"] == 0.0
    pods.seconds += 1
    assert pods.ratios(seen)["v1-0"] is None


async def test_pods_that_pass_on_nothing_are_not_asked(pods):
    idle = relays.snapshot(status=relays.gone(relayed=""))
    assert pods.reports.attached(KEY, idle) is idle
    assert pods.asked == set()


async def test_one_pod_that_does_not_answer_hides_no_other(pods):
    seen = relays.snapshot(status=relays.TAKEN_BACK)
    pods.answers = {"10.0.1.0": "refused", "10.0.1.1": exposition(0)}
    pods.ratios(seen)
    await pods.rung()
    assert pods.ratios(seen) == {"v1-0": None, "v1-1": 0.0}


async def test_a_fault_in_reading_ends_no_watch(pods, caplog):
    seen = relays.snapshot(status=relays.TAKEN_BACK)
    pods.answers = {"10.0.1.0": ZeroDivisionError("a fault of ours")}
    pods.ratios(seen)
    await pods.fetched.wait()
    pods.answers = {"10.0.1.0": exposition(0.3)}
    await pods.rung()
    assert pods.ratios(seen)["v1-0"] == 0.3
    assert [record.message for record in caplog.records] == ["reports not read"]
