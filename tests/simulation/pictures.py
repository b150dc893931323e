"""The documents' pictures, from simulated traffic: rollouts, drift, quality (`python -m tests.simulation.pictures`).

What is drawn comes from the code that judges; seeds are fixed, so the same code draws the same pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
from tests.simulation import drawing, drift_traffic, traffic

from seatrial.analysis import calibration, course
from seatrial.analysis import policy as policies
from seatrial.drift import columns as columns_
from seatrial.drift import policy, progress, watch
from seatrial.drift.season import Season

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"
DAY = 24
CHANGE = 5
"""The day on which something begins to change."""
DAYS = 25
EDGES = tuple(float(value) for value in (0, 18, 26, 32, 37, 42, 47, 52, 59, 70, 160))
"""Of an income in thousands: deciles of the reference."""
BLUE, RED, GREEN = drawing.COLOURS


def all_of_them() -> dict[str, str]:
    """By file."""
    return {
        "rollout-evidence.svg": rollout(),
        "drift-distribution.svg": distribution(),
        "drift-evidence.svg": evidence(),
        "quality-estimated.svg": quality(),
    }


def at_once(hour: int) -> float:
    """In standard deviations."""
    return 0.5 if hour >= CHANGE * DAY else 0.0


def slowly(hour: int) -> float:
    """The same, day by day."""
    return 0.03 * max(0.0, hour / DAY - CHANGE)


def memories(
    per_day: float, *, shift: Callable[[int], float], days: int = DAYS, seed: int = 3
) -> Iterator[tuple[int, watch.Memory]]:
    """A deployment's memory after each hour."""
    traffic = drift_traffic.Traffic(per_day=per_day, shift=shift)
    memory = watch.EMPTY
    for at, hour in enumerate(drift_traffic.hours(traffic, deployments=1, features=1, days=days, seed=seed)):
        pods = tuple(
            watch.Pod(rows={"income": tuple(int(count) for count in pod[0][: len(COLUMN.bins)])}) for pod in hour.pods
        )
        memory, _ = watch.after(memory, watch.Hour(at=at, pods=pods, ready=2), columns=[COLUMN], policy=POLICY)
        yield at, memory


COLUMN: columns_.Column = msgspec.structs.replace(drift_traffic.COLUMN, edges=EDGES)
POLICY = policy.Policy(season=Season.DAY)


def rollout() -> str:
    """Of three versions that get 20 % of 50 requests a second beside one that fails 0.5 % of its own."""
    minutes, interval = 4, 5.0
    axes = drawing.Axes(
        low=(0, 0),
        high=(minutes, 1.6),
        ticks_x=[(minute, str(minute)) for minute in range(minutes + 1)],
        ticks_y=[(0, "0"), (0.5, "0.5"), (1, "1")],
        title="Evidence of more errors, as a part of the way to the bound",
        label_x="minutes of the step",
    )
    picture = drawing.Picture(axes)
    weights = np.full(round(60 * minutes / interval), 0.2)
    judged = policies.Policy(false_rollback_rate=0.01 / 3)
    for errors, words, colour in (
        (0.05, "5 % errors", RED),
        (0.02, "2 % errors", BLUE),
        (0.005, "0.5 %, equal", GREEN),
    ):
        scenario = traffic.Scenario(rate=50, candidate_errors=errors, relayed=True, history=720)
        rows = traffic.rollout(scenario, np.random.default_rng(7), weights=weights, interval=interval)
        (test,) = (one for one in course.run(rows, judged).tests if one.name == "errors")
        parts = np.maximum(test.log_evidence, 0) / math.log(test.bound)
        end = len(parts) if test.breach is None else test.breach + 1
        points = [((slot + 1) * interval / 60, float(part)) for slot, part in enumerate(parts[:end])]
        picture.curve([(0.0, 0.0), *points], colour=colour, words=words)
    picture.level(1, "rolled back")
    return picture.svg()


def distribution() -> str:
    """Of the last day, beside the reference."""
    *_, (_, memory) = memories(1e5, shift=at_once, days=CHANGE + 2)
    found = progress.beside(memory, COLUMN)
    assert found is not None
    most = 0.25
    axes = drawing.Axes(
        low=(0, 0),
        high=(len(found.bins), most),
        ticks_x=[(place + 0.5, str(round(EDGES[place]))) for place in range(len(found.bins))],
        ticks_y=[(part / 100, f"{part}%") for part in range(0, 26, 5)],
        title="Share of the rows in each tenth of the reference",
        label_x="income from ... thousand",
    )
    picture = drawing.Picture(axes)
    for place, (was, now) in enumerate(zip(found.reference, found.now, strict=True)):
        picture.bar(place + 0.12, was, width=0.36, colour=drawing.PALE)
        picture.bar(place + 0.52, now, width=0.36, colour=BLUE)
    picture.explain("reference", drawing.PALE)
    picture.explain("last day", BLUE)
    return picture.svg()


def evidence() -> str:
    """Of three deployments, whose traffic moves on the same day: of the looks of a day the one with most evidence."""
    ticks = [(0, "0"), (0.5, "0.5"), (1, "1"), (1.5, "1.5")]
    axes = drawing.Axes(
        low=(0, 0),
        high=(DAYS, 1.5),
        ticks_x=[(day, str(day)) for day in range(0, DAYS + 1, 2)],
        ticks_y=ticks,
        title="Evidence of drift, as a part of the way to the bound",
        label_x="days",
    )
    picture = drawing.Picture(axes)
    picture.moment(CHANGE, "0.03 sd a day")
    for per_day, words, colour in ((1e5, "100 000 rows a day", BLUE), (1e4, "10 000", RED), (1e3, "1 000", GREEN)):
        parts = [_shape(memory) for _, memory in memories(per_day, shift=slowly)]
        points = [((at + 1) / DAY, max(parts[max(0, at - DAY + 1) : at + 1])) for at in range(len(parts))]
        picture.curve(points, colour=colour, words=words)
    picture.level(1, "alarm")
    picture.level(0.5, "suspicion")
    return picture.svg()


def _shape(memory: watch.Memory) -> float:
    found = [one.part for one in progress.of(memory, columns=[COLUMN], policy=POLICY) if one.question == "Shape"]
    return max(found, default=0.0)


def quality() -> str:
    """Measured by labels and estimated from confidence: first harder questions come, then other answers are right."""
    random = np.random.default_rng(11)
    bins, holdout_rows, per_day, days = 10, 4000, 2000, 30
    harder, other = 10, 20

    def answers(rows: int, *, spread: float, wrong: float) -> tuple[np.ndarray, np.ndarray]:
        """Bins of confidence, and what is right, of rows whose scores are calibrated but for a share of wrong ones."""
        score = 1 / (1 + np.exp(-np.abs(random.normal(0, spread, rows))))
        right = (random.random(rows) < score) & (random.random(rows) >= wrong)
        return np.minimum((score * bins).astype(int), bins - 1), right

    places, right = answers(holdout_rows, spread=3.0, wrong=0.0)
    known = np.bincount(places, minlength=bins), np.bincount(places, weights=right, minlength=bins)
    measured, limits, estimated, reach = [], [], [], []
    for day in range(days):
        places, right = answers(per_day, spread=3.0 if day < harder else 1.6, wrong=0.0 if day < other else 0.12)
        share = float(right.mean())
        half = 1.96 * float(np.sqrt(share * (1 - share) / per_day))
        expected = calibration.accuracy(
            np.bincount(places, minlength=bins).tolist(), known[1].tolist(), known[0].tolist()
        )
        assert expected is not None
        measured.append((day + 0.5, share))
        limits.append((day + 0.5, share - half, share + half))
        estimated.append((day + 0.5, expected.value))
        reach.append((day + 0.5, expected.low, expected.high))
    axes = drawing.Axes(
        low=(0, 0.6),
        high=(days, 1.0),
        ticks_x=[(day, str(day)) for day in range(0, days + 1, 5)],
        ticks_y=[(part / 100, f"{part}%") for part in range(60, 101, 10)],
        title="Right answers: measured by labels, and estimated from confidence",
        label_x="days",
    )
    picture = drawing.Picture(axes)
    picture.moment(harder, "harder questions")
    picture.moment(other, "other answers are right")
    picture.band(limits, colour=BLUE)
    picture.curve(measured, colour=BLUE, words="measured")
    picture.band(reach, colour=RED)
    picture.curve(estimated, colour=RED, words="estimated")
    return picture.svg()


def main() -> None:
    for name, text in all_of_them().items():
        (FOLDER / name).write_text(text)
        print(f"wrote docs/pictures/{name}")


if __name__ == "__main__":
    main()
