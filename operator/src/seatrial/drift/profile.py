"""The columns that a revision is watched in, from the profile in its trial's report. Untrusted: a model wrote it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from seatrial.drift import columns as columns_
from seatrial.drift.columns import Column, Kind

MOST_COLUMNS = 128


class Unusable(ValueError):
    """There is nothing to hold traffic against; the text is for the user."""


class _Told(msgspec.Struct, frozen=True):
    """A column as a report of any release tells it: 0 rows are not known."""

    rows: int = 0


def columns(profile: bytes) -> tuple[Column, ...]:
    """The columns of a profile as JSON.

    Raises:
        Unusable: there are none, or they can't be used.
    """
    try:
        told = msgspec.json.decode(profile, type=list[_Told])
        if not told:
            raise Unusable("the package of the version that serves has no reference rows (reference.npz)")
        if len(told) > MOST_COLUMNS:
            raise Unusable(f"the profile in the trial's report has {len(told)} columns, more than {MOST_COLUMNS}")
        if any(one.rows == 0 for one in told):
            raise Unusable(
                "the trial's report doesn't say how many reference rows there are: it is of an older release"
            )
        found = msgspec.json.decode(profile, type=tuple[Column, ...])
        for one in found:
            columns_.check(one)
    except Unusable:
        raise
    except ValueError as error:
        raise Unusable(f"the profile in the trial's report can't be used: {error}") from error
    named = _told_apart(found)
    if len({one.name for one in named}) != len(named):
        raise Unusable("the profile in the trial's report has two columns of one name")
    return named


def _told_apart(found: Sequence[Column]) -> tuple[Column, ...]:
    taken, named = {one.name for one in found if one.kind is Kind.FEATURE}, list[Column]()
    for one in sorted(found, key=lambda one: list(Kind).index(one.kind)):
        clashes = one.kind is not Kind.FEATURE and one.name in taken
        ending = columns_.OUTPUT if one.kind is Kind.PREDICTION else columns_.ATTRIBUTION
        named.append(msgspec.structs.replace(one, name=one.name + ending) if clashes else one)
    return tuple(named)
