"""The books: every request in exactly one class, in total and per model version, with latencies.

Cumulative and never reset: whoever wants a window subtracts two readings. Not thread-safe; one event loop writes.
"""

from __future__ import annotations

import bisect
import collections
import math
from typing import Any

import msgspec

from .answers import Outcome

UNKNOWN = "unknown"
# From 0.25 ms in steps of 15 % to about 40 s: a percentile is right within 15 %.
EDGES = tuple(0.00025 * 1.15**step for step in range(86))


class Entry(msgspec.Struct, frozen=True):
    """One finished request; `seconds` from the first byte sent to the last byte of the answer, which came `at`.

    `revision` gave the answer (empty: nobody said so), in the place of `covered`; good answers name its `version`.
    """

    outcome: Outcome
    seconds: float
    correct: bool = False
    at: float = 0.0
    revision: str = ""
    covered: str = ""
    version: str | None = None


class Latencies:
    """A fixed histogram of answered requests."""

    def __init__(self) -> None:
        self._counts = [0] * (len(EDGES) + 1)
        self._sum = 0.0
        self._max = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect.bisect_left(EDGES, seconds)] += 1
        self._sum += seconds
        self._max = max(self._max, seconds)

    def merge(self, other: Latencies) -> None:
        self._counts = [one + more for one, more in zip(self._counts, other._counts, strict=True)]
        self._sum += other._sum
        self._max = max(self._max, other._max)

    def summary(self) -> dict[str, float]:
        """Milliseconds; percentiles are upper edges of their bucket, at most the maximum."""
        total = sum(self._counts)
        if not total:
            return {}
        quantiles = {f"p{percent}": self._quantile(percent / 100 * total) for percent in (50, 95, 99)}
        values = {"mean": self._sum / total, **quantiles, "max": self._max}
        return {name: round(seconds * 1000, 3) for name, seconds in values.items()}

    def _quantile(self, rank: float) -> float:
        seen = 0
        for edge, count in zip((*EDGES, self._max), self._counts, strict=True):
            seen += count
            if seen >= rank:
                return min(edge, self._max)
        return self._max


class Tally:
    """Counts of one revision or version; `covered`: answers that stable gave in its place."""

    def __init__(self) -> None:
        self.outcomes: collections.Counter[Outcome] = collections.Counter()
        self.correct = 0
        self.covered = 0
        self.first_at = math.inf
        self.latencies = Latencies()

    def add(self, entry: Entry) -> None:
        self.outcomes[entry.outcome] += 1
        self.correct += entry.correct
        if entry.outcome not in (Outcome.LOST, Outcome.WAITING):
            self.latencies.add(entry.seconds)
            self.first_at = min(self.first_at, entry.at)

    def cover(self, at: float) -> None:
        self.covered += 1
        self.first_at = min(self.first_at, at)

    def merge(self, other: Tally) -> None:
        self.outcomes += other.outcomes
        self.correct += other.correct
        self.covered += other.covered
        self.first_at = min(self.first_at, other.first_at)
        self.latencies.merge(other.latencies)

    def as_dict(self) -> dict[str, Any]:
        counts = {outcome.value: self.outcomes[outcome] for outcome in Outcome}
        return {
            "sent": self.outcomes.total(),
            **counts,
            "correct": self.correct,
            "covered": self.covered,
            "latency_ms": self.latencies.summary(),
        }


class Ledger:
    """All counts of one run. `epoch`: what makes unix time of the entries' moments."""

    def __init__(self, *, epoch: float = 0.0) -> None:
        self._epoch = epoch
        self.started = 0
        self.skipped = 0
        self.reconnected = 0
        self.connections_opened = 0
        self.had_success = False
        self.reasons: collections.Counter[str] = collections.Counter()
        self._total = Tally()
        self._revisions: dict[str, Tally] = {}
        self._versions: dict[str, str] = {}

    def finish(self, entry: Entry, *, reason: str) -> None:
        """Count a request, in total and for who answered."""
        self._total.add(entry)
        self._revisions.setdefault(entry.revision, Tally()).add(entry)
        if entry.covered:
            self._total.cover(entry.at)
            self._revisions.setdefault(entry.covered, Tally()).cover(entry.at)
        if entry.version is not None:
            self._versions[entry.revision] = entry.version
        self.had_success = self.had_success or entry.outcome is Outcome.OK
        if reason:
            self.reasons[f"{entry.outcome}: {reason}"] += 1

    def as_dict(self) -> dict[str, Any]:
        """The document of /stats; `sent` is the sum of the classes. A revision is `unknown` until a good answer of it
        has told its version.
        """
        total = self._total.as_dict()
        return {
            **total,
            "in_flight": self.started - total["sent"],
            "skipped": self.skipped,
            "reconnected": self.reconnected,
            "connections_opened": self.connections_opened,
            "reasons": dict(sorted(self.reasons.items())),
            "versions": {version: self._dated(tally) for version, tally in sorted(self._by_version().items())},
        }

    def _by_version(self) -> dict[str, Tally]:
        found: dict[str, Tally] = {}
        for revision, tally in self._revisions.items():
            found.setdefault(self._versions.get(revision, UNKNOWN), Tally()).merge(tally)
        return found

    def _dated(self, tally: Tally) -> dict[str, Any]:
        """With the unix time of a version's first answer, if there was one."""
        first = tally.first_at + self._epoch
        return {**tally.as_dict(), "first_at": round(first, 3) if math.isfinite(first) else None}
