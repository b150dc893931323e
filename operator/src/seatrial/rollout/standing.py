"""What a revision may do: go straight back to stable, go through a canary, or nothing without a command.

| standing | what is known                        | its way                                       |
| -------- | ------------------------------------ | --------------------------------------------- |
| (none)   | nothing, or it was superseded        | trial, canary                                 |
| Trusted  | it was promoted and not refuted since | pods, capacity, all traffic                   |
| Rejected | evidence, a guard or a command       | none, until a retry is asked for               |
| Retried  | rejected, then asked for again        | canary, whatever it was before the rejection  |

A mark is kept on the revision's own record for as long as the record is, however many others come. `status.verdicts`
is what people read; it is asked only for what was decided after the mark was last written, because status is written
first and the operator may die in between.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from seatrial.api.status import Reason, Verdict, VerdictKind


class Standing(enum.StrEnum):
    TRUSTED = "Trusted"
    REJECTED = "Rejected"
    RETRIED = "Retried"


_STANDINGS: Mapping[VerdictKind, Standing] = {
    VerdictKind.PROMOTED: Standing.TRUSTED,
    VerdictKind.REJECTED: Standing.REJECTED,
    VerdictKind.RETRIED: Standing.RETRIED,
}


class Mark(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A revision's standing, with the verdict that gave it. `at` orders them: the newest counts."""

    standing: Standing
    reason: Reason
    message: str = ""
    at: datetime

    @property
    def trusted(self) -> bool:
        return self.standing is Standing.TRUSTED

    @property
    def rejected(self) -> bool:
        return self.standing is Standing.REJECTED


def of(revision: str, *, marks: Mapping[str, Mark], verdicts: Iterable[Verdict]) -> Mark | None:
    """The newer of what the record says and what status says; None while nothing was decided of it."""
    said = (_mark(one) for one in verdicts if one.revision == revision and one.verdict in _STANDINGS)
    newest = next(said, None)  # verdicts are newest first
    kept = marks.get(revision)
    if newest is None or (kept is not None and kept.at > newest.at):
        return kept
    return newest


def kept(
    numbers: Mapping[str, int], *, marks: Mapping[str, Mark], in_use: frozenset[str], limit: int
) -> frozenset[str]:
    """Revisions whose records stay: those in use, and of each standing the `limit` newest.

    Each standing has its own room, so that no number of rejected or superseded versions pushes out a good one, nor
    edits in quick succession a rejection.

    Args:
        numbers: of every record, by revision: the order in which they were first seen.
    """
    stay = set(in_use)
    rooms: dict[Standing | None, list[str]] = {}
    for revision in numbers:
        if revision not in in_use:
            mark = marks.get(revision)
            rooms.setdefault(mark.standing if mark else None, []).append(revision)
    for revisions in rooms.values():
        newest = sorted(revisions, key=lambda one: (_decided(marks.get(one)), numbers[one]), reverse=True)
        stay.update(newest[:limit])
    return frozenset(stay)


def _mark(verdict: Verdict) -> Mark:
    return Mark(standing=_STANDINGS[verdict.verdict], reason=verdict.reason, message=verdict.message, at=verdict.at)


def _decided(mark: Mark | None) -> float:
    return mark.at.timestamp() if mark is not None else 0.0
