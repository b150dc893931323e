"""The watch over labels against a real Prometheus: pods' own counters, as scraped, and the questions that are asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from tests.contract import test_drift_watch
from tests.unit.control.label_scene import Prometheus, Scene

DAY = 24
serving = test_drift_watch.serving


@pytest.fixture
async def scene() -> AsyncIterator[Callable[[str], Scene]]:
    """A model whose operator asks the Prometheus at an address."""
    async with test_drift_watch.questions() as ask:

        def build(url: str) -> Scene:
            there = Scene()
            ask(there, url)
            return there

        yield build


def lines(known: Prometheus, **labels: str) -> Iterator[str]:
    """Everything that was scraped, as OpenMetrics."""
    for series in known.scraped.values():
        said = {**series.labels, **labels}
        name = said.pop("__name__")
        inside = ",".join(f'{label}="{text}"' for label, text in said.items())
        for at, value in zip(series.times, series.values, strict=True):
            yield f"{name}{{{inside}}} {value:g} {at:g}" if at < 1e6 else f"{name}{{{inside}}} {value:g} {at:.3f}"


async def world() -> Scene:
    """Nine days, of which the last four are worse; a pod restarts in between."""
    there, usual = Scene(), dict[str, Any](looks=False)
    await there.answer(2 * DAY, **usual)
    there.restart()
    await there.answer(3 * DAY, **usual)
    await there.answer(4 * DAY, wrong=0.4, **usual)
    return there


async def told(there: Scene, hours: int) -> list[tuple[str, str]]:
    """What is said in that time, without repetition."""
    said: list[tuple[str, str]] = []
    for _ in range(hours):
        await there.pass_an_hour()
        if there.status.conditions and (not said or said[-1] != there.said):
            said.append(there.said)
    return said


@pytest.mark.timeout(900)  # promtool and Prometheus are built the first time
async def test_worse_answers_are_found_by_what_a_prometheus_keeps(
    serving: Callable[[Iterator[str]], str], scene: Callable[[str], Scene]
) -> None:
    counted = await world()
    there = scene(serving(lines(counted.labels, job="pods")))
    assert await told(there, 9 * DAY) == [
        ("Unknown", "MetricsUnavailable"),
        ("False", "QualityHolds"),
        ("True", "QualityDropped"),
    ]
    rows = {day.number: day.rows for day in there.days}
    whole = 40 * 2 * DAY
    assert sorted(rows.values())[-5:] == [pytest.approx(whole, rel=0.02)] * 5
    answered = there.quality
    there.start_operator()
    await there.look()
    assert there.quality == answered
