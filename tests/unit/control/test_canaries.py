"""Beside the pass: what a step's answers and inputs say, asked of Prometheus for both arms, and what is never asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from tests.unit.drift import build as drifts
from tests.unit.rollout import build

from seatrial.api import spec, status
from seatrial.cluster import errors as cluster
from seatrial.control import queue, sources
from seatrial.control.drifting import canaries
from seatrial.drift import canary, columns, totals
from seatrial.prometheus import errors
from seatrial.rollout import facts, report

KEY = queue.Key("shop", "churn")
TENTHS = drifts.numbers("score", kind=columns.Kind.PREDICTION, edges=tuple(part / 10 for part in range(11)))
STABLE, CANDIDATE = build.name_of("1"), build.name_of("2")
EVEN = (0, 0, *(10,) * 10, 0)
HIGH = (0, 0, *(1,) * 5, *(19,) * 5, 0)


class Prometheus:
    """Each arm's pods count these rows between two moments."""

    def __init__(self, candidate: tuple[int, ...] = EVEN) -> None:
        self.rows = {STABLE: EVEN, CANDIDATE: candidate}
        self.asked: list[str] = []
        self.down = False

    def named(self, source: object) -> bool:
        return True

    async def worked_out(self, work: Callable[[], Any]) -> Any:
        return work()

    async def totals(self, asked: sources.Hourly, expression: str) -> totals.Answer:
        self.asked.append(expression)
        if self.down:
            raise errors.PrometheusUnavailable("connection refused")
        [revision] = [one for one in self.rows if f'revision=~"{one}"' in expression]
        moments = range(asked.start, asked.end + 1, asked.step)
        series = [
            totals.Series(
                metric={
                    "__name__": "seatrial_prediction_rows_total",
                    "revision": revision,
                    "output": "score",
                    "bin": bin_,
                    "namespace": build.OWNER.namespace,
                    "pod": f"churn-{revision}-{pod}",
                },
                values=tuple((moment, str(count * number)) for number, moment in enumerate(moments)),
            )
            for bin_, count in zip(TENTHS.bins, self.rows[revision], strict=True)
            for pod in "ab"
        ]
        return totals.Answer(status="success", data=totals.Data(result_type="matrix", result=tuple(series)))


PASSED = report.Report(outcome=report.Outcome.PASSED, profile=msgspec.Raw(msgspec.json.encode([TENTHS])))


def snapshot(*, profile: bool = True, mode: spec.DriftMode = spec.DriftMode.WATCH, **candidate: Any) -> facts.Snapshot:
    step = {"weight_since": build.at(0), **candidate}
    known = status.Status(stable=build.STABLE, candidate=build.in_step(**step))
    wish = msgspec.structs.replace(build.spec(), monitoring=spec.Monitoring(drift=spec.Drift(mode=mode)))
    told = PASSED if profile else report.Report(outcome=report.Outcome.PASSED)
    return build.snapshot(wish, status=known, reports={STABLE: told, CANDIDATE: told})


@pytest.fixture
async def watching() -> AsyncIterator[Callable[[Prometheus, facts.Snapshot], canaries.Watch]]:
    """The watch over a snapshot's step, ten minutes after it began."""
    made: list[canaries.Canaries] = []

    def watch(prometheus: Any, seen: facts.Snapshot) -> canaries.Watch:
        own = canaries.Canaries(prometheus, ring=lambda key: None, clock=lambda: build.at(600))
        made.append(own)
        own.attached(KEY, seen)
        [found] = own.watches.values()
        return found

    yield watch
    for one in made:
        await one.close()


async def test_equal_answers_are_nothing_to_say(watching):
    prometheus = Prometheus()
    assert await watching(prometheus, snapshot()).look() == canary.Found()
    assert len(prometheus.asked) == 2


async def test_shifted_answers_are_said_from_real_counters(watching):
    found = await watching(Prometheus(HIGH), snapshot()).look()
    assert found.shifted.startswith("score: 95% of ")


async def test_the_attributions_of_a_report_are_no_matter_of_a_canary(watching):
    told = msgspec.json.encode([TENTHS, drifts.attributions(shares={"income": 0.6, "debt": 0.4})])
    both = msgspec.structs.replace(PASSED, profile=msgspec.Raw(told))
    seen = msgspec.structs.replace(snapshot(), reports={STABLE: both, CANDIDATE: both})
    assert await watching(Prometheus(HIGH), seen).look() == await watching(Prometheus(HIGH), snapshot()).look()


async def test_a_prometheus_that_is_away_says_nothing(watching):
    prometheus = Prometheus(HIGH)
    prometheus.down = True
    with pytest.raises(errors.PrometheusUnavailable):
        await watching(prometheus, snapshot()).look()


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(snapshot(weight=100), id="all traffic"),
        pytest.param(snapshot(weight=0, shadow=20), id="copies only"),
        pytest.param(snapshot(mode=spec.DriftMode.OFF), id="not counted"),
    ],
)
async def test_nothing_is_watched_where_nothing_can_be_compared(seen):
    own = canaries.Canaries(Prometheus(), ring=lambda key: None, clock=lambda: build.at(600))  # type: ignore[arg-type]
    assert own.attached(KEY, seen).moved is None
    assert own.watches == {}


async def test_a_step_that_is_over_is_forgotten_with_what_was_found():
    own = canaries.Canaries(Prometheus(HIGH), ring=lambda key: None, clock=lambda: build.at(600))  # type: ignore[arg-type]
    own.attached(KEY, snapshot())
    [watch] = own.watches.values()
    watch.found = await watch.look()
    assert own.attached(KEY, snapshot()).moved == watch.found
    assert own.attached(KEY, snapshot(weight_since=build.at(300))).moved is None
    await own.close()


async def test_a_look_that_fails_whatever_for_is_followed_by_the_next_one(monkeypatch):
    monkeypatch.setattr(canaries, "SHORTEST", 0)
    wish = msgspec.structs.replace(snapshot().spec, analysis=spec.Analysis(interval=spec.Duration(milliseconds=1)))
    rung = asyncio.Event()
    prometheus = Prometheus(HIGH)
    answer, failing = prometheus.totals, [KeyError("a fault of ours"), cluster.Unavailable("the API server is away")]

    async def totals_(asked: sources.Hourly, expression: str) -> totals.Answer:
        if failing:
            raise failing.pop()
        return await answer(asked, expression)

    prometheus.totals = totals_  # type: ignore[method-assign]
    own = canaries.Canaries(prometheus, ring=lambda key: rung.set(), clock=lambda: build.at(600))  # type: ignore[arg-type]
    seen = msgspec.structs.replace(snapshot(), spec=wish)
    own.attached(KEY, seen)
    async with asyncio.timeout(60):
        await rung.wait()
    found = own.attached(KEY, seen).moved
    assert found is not None
    assert found.shifted.startswith("score: 95% of ")
    await own.close()


async def test_a_package_without_reference_is_not_asked_about():
    prometheus = Prometheus()
    own = canaries.Canaries(prometheus, ring=lambda key: None, clock=lambda: build.at(600))  # type: ignore[arg-type]
    own.attached(KEY, snapshot(profile=False))
    [watch] = own.watches.values()
    await watch.ended()
    assert prometheus.asked == []
    await own.close()
