"""The columns that a revision is watched in, from the profile in its trial's report. Untrusted: a model wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from seatrial.drift import columns as columns_
from seatrial.drift.columns import Column, Kind

MOST_COLUMNS = 128


def columns(profile: Sequence[Any]) -> tuple[Column, ...]:
    """Raises ValueError: it can't be used, in words for the user."""
    if len(profile) > MOST_COLUMNS:
        raise ValueError(f"its trial's report has {len(profile)} columns, more than {MOST_COLUMNS}")
    if any(isinstance(one, dict) and one.get("rows") == 0 for one in profile):
        raise ValueError("its trial's report doesn't say how many reference rows there are; the retry command tells it")
    try:
        found = msgspec.convert(profile, tuple[Column, ...])
        for one in found:
            columns_.check(one)
    except ValueError as error:
        raise ValueError(f"the profile in its trial's report can't be used: {error}") from error
    named = _told_apart(found)
    if len({one.name for one in named}) != len(named):
        raise ValueError("its trial's report has two columns of one name")
    return named


def _told_apart(found: Sequence[Column]) -> tuple[Column, ...]:
    features = {one.name for one in found if one.kind is Kind.FEATURE}
    return tuple(
        msgspec.structs.replace(one, name=one.name + columns_.OUTPUT)
        if one.kind is Kind.PREDICTION and one.name in features
        else one
        for one in found
    )
