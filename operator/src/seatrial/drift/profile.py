"""The columns that a revision is watched in, from the profile in its trial's report. Untrusted: a model wrote it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from seatrial.drift import columns as columns_
from seatrial.drift.columns import Column, Kind

MOST_COLUMNS = 128


class Unusable(ValueError):
    """There is nothing to hold traffic against; the text is for the user."""


class Unsupported(Unusable):
    """That is so because the server that made the report is not like this operator's; the package may have it all."""


class _Told(msgspec.Struct, frozen=True):
    """A column as a report of any release tells it: 0 rows are not known."""

    rows: int = 0


_Profile = list[_Told] | None
"""None: the report has no profile."""


def columns(profile: bytes) -> tuple[Column, ...]:
    """The columns of a profile as JSON.

    Raises:
        Unusable: there are none, or they can't be used; Unsupported where the server is why.
    """
    try:
        told = msgspec.json.decode(profile, type=_Profile)
        if told is None or _older(told):
            raise Unsupported(
                "the trial's report doesn't say how many reference rows there are: it is of an older release of the "
                "server"
            )
        if not told:
            raise Unusable("the package of the version that serves has no reference rows (reference.npz)")
        if len(told) > MOST_COLUMNS:
            raise Unsupported(f"the profile in the trial's report has {len(told)} columns, more than {MOST_COLUMNS}")
        found = msgspec.json.decode(profile, type=tuple[Column, ...])
        for one in found:
            columns_.check(one)
    except Unusable:
        raise
    except ValueError as error:
        raise Unsupported(f"the profile in the trial's report can't be used: {error}") from error
    named = _told_apart(found)
    if len({one.name for one in named}) != len(named):
        raise Unsupported("the profile in the trial's report has two columns of one name")
    return named


def of_older_server(profile: bytes) -> bool:
    """Whether the report is of a server from before reference rows were counted, and with that before tokens."""
    try:
        told = msgspec.json.decode(profile, type=_Profile)
    except ValueError:
        return False
    return told is None or _older(told)


def _older(told: Sequence[_Told]) -> bool:
    return any(one.rows == 0 for one in told)


def _told_apart(found: Sequence[Column]) -> tuple[Column, ...]:
    taken, named = {one.name for one in found if one.kind is Kind.FEATURE}, list[Column]()
    for one in sorted(found, key=lambda one: list(Kind).index(one.kind)):
        clashes = one.kind is not Kind.FEATURE and one.name in taken
        ending = columns_.OUTPUT if one.kind is Kind.PREDICTION else columns_.ATTRIBUTION
        named.append(msgspec.structs.replace(one, name=one.name + ending) if clashes else one)
    return tuple(named)
