"""What is tried on the cluster, and what must come of it. Pure: numbers in, a judgement out."""

from __future__ import annotations

import enum
import math
import statistics
from collections.abc import Sequence
from typing import Any

import msgspec


class End(enum.StrEnum):
    """What became of a candidate; `BROKEN` is a run that says nothing, because something beside it failed."""

    ROLLED_BACK = "rolled back"
    PROMOTED = "promoted"
    HELD = "held"
    BROKEN = "broken"


class Until(enum.StrEnum):
    """What the seconds of a run are counted to, from the candidate's first answer."""

    VERDICT = "verdict"
    OFF = "weight 0"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One rollout. Seconds count from the candidate's first answer, or stable's first in its place, to a client."""

    end: End
    reason: str = ""
    verdict: float | None = None
    off: float | None = None
    errors: int = 0
    """Failed answers of the candidate that clients got."""
    covered: int = 0
    """Answers that stable gave in its place."""
    asked: int = 0
    seen: float | None = None
    """Percent of the `counted` requests of the first step."""
    counted: int = 0
    sent: int = 0
    lost: int = 0
    wrong: int = 0
    """Answers that went wrong though no model failed."""
    skipped: int = 0
    """Requests that the client had no connection free for: it did not keep up."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One case: versions of tests/cluster/models by name, the traffic, and the musts."""

    name: str
    title: str
    stable: str
    candidate: str
    runs: int
    ends: frozenset[End]
    provider: str = "Relay"
    weights: tuple[int, int] = (20, 50)
    rate: int = 50
    max_errors: str = "5%"
    outage: bool = False
    until: Until = Until.VERDICT
    worst: float | None = None
    median: float | None = None

    @property
    def exact(self) -> bool:
        """Each request is given by itself: the share is the one asked for but for chance."""
        return self.provider != "Service"

    @property
    def covered(self) -> bool:
        """Stable answers where the candidate fails."""
        return self.provider == "Relay"

    @property
    def stable_errs(self) -> bool:
        """If not, then a failure is the candidate's, whether or not the client could tell who answered."""
        return self.stable != "erring-v0"

    @property
    def must(self) -> str:
        parts = [f"{' or '.join(end for end in End if end in self.ends)}, all"]
        if self.worst is not None:
            parts.append(f"{self.until} within {self.worst:g} s, all")
        if self.median is not None:
            parts.append(f"{self.until} within {self.median:g} s, median")
        if self.covered:
            parts.append("no error served")
        if self.exact:
            parts.append("share within 3 standard errors")
        return "; ".join(parts)


FEWEST = 1000  # requests that a share is judged on
_BACK, _STAYS = frozenset({End.ROLLED_BACK}), frozenset({End.PROMOTED, End.HELD})
_LIKE_STABLE: dict[str, Any] = {"stable": "erring-v0.5", "candidate": "erring-v0.5b"}

_DEFAULT = (
    Row(
        name="dead",
        title="every request fails",
        stable="erring-v0",
        candidate="erring-v100",
        runs=5,
        ends=_BACK,
        until=Until.OFF,
        worst=5,
    ),
    Row(
        name="worse",
        title="5 % against 0.5 % errors",
        stable="erring-v0.5",
        candidate="erring-v5",
        runs=5,
        ends=_BACK,
        median=30,
    ),
    Row(
        name="outage",
        title="both fail 3 %, from the first look on",
        **_LIKE_STABLE,
        runs=5,
        ends=frozenset({End.HELD}),
        max_errors="1%",
        outage=True,
    ),
    Row(name="healthy", title="healthy, 0.5 % errors", **_LIKE_STABLE, runs=10, ends=_STAYS),
    Row(name="quiet", title="healthy, 0.5 % errors", **_LIKE_STABLE, runs=10, ends=_STAYS, rate=5),
)


def _also(suffix: str, musts: dict[str, dict[str, float | None]], **how: Any) -> tuple[Row, ...]:
    """Some of them in another way."""
    return tuple(
        msgspec.structs.replace(row, runs=5, **how, **musts[row.name], name=f"{row.name}-{suffix}")
        for row in _DEFAULT
        if row.name in musts
    )


_TENTH = (10, 50)
ROWS = (
    *_DEFAULT,
    *_also("tenth", {"dead": {"worst": 3.0}, "worse": {"median": 45.0}}, weights=_TENTH),
    *_also("service", {"dead": {}, "worse": {}, "healthy": {}}, provider="Service"),
    *_also(
        "gateway",
        {"dead": {"worst": None}, "worse": {"median": 45.0}, "healthy": {}},
        provider="GatewayAPI",
        weights=_TENTH,
    ),
)


def seconds(row: Row, runs: Sequence[Run]) -> list[float]:
    """Of each run that ended as it must; infinite where it did not."""
    values = (run.off if row.until is Until.OFF else run.verdict for run in runs)
    return [
        value if value is not None and run.end in row.ends else math.inf
        for run, value in zip(runs, values, strict=True)
    ]


def missed(row: Row, runs: Sequence[Run]) -> list[str]:
    """Every must that was not kept, in words."""
    wrong = [run for run in runs if run.end not in row.ends]
    found = [f"{len(wrong)} of {len(runs)} {run.end} ({run.reason})" for run in wrong[:1]]
    took = seconds(row, runs)
    if row.worst is not None and max(took) > row.worst:
        found.append(f"{row.until} after {max(took):.1f} s at worst, must {row.worst:g} s")
    if row.median is not None and statistics.median(took) > row.median:
        found.append(f"{row.until} after {statistics.median(took):.1f} s in the median, must {row.median:g} s")
    if row.covered and (errors := sum(run.errors for run in runs)):
        found.append(f"{errors} errors of the candidate served")
    if row.exact:
        found += _inexact(runs)
    if lost := sum(run.lost for run in runs):
        found.append(f"{lost} requests lost")
    return found


def _inexact(runs: Sequence[Run]) -> list[str]:
    """Shares that chance does not explain; a step that was cut short doesn't count."""
    found = []
    for run in runs:
        if run.seen is None or run.counted < FEWEST:
            continue
        chance = 100 * math.sqrt(run.asked / 100 * (1 - run.asked / 100) / run.counted)
        if abs(run.seen - run.asked) > 3 * chance:
            found.append(f"share {run.seen:.1f} % of {run.counted} requests where {run.asked} % was asked")
    return found
