"""The profile as the trial's report tells it: bins, their edges, and the reference's share of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from seatrial_server.model import bins

Kind = Literal["Feature", "Prediction", "Attribution"]


class Column(msgspec.Struct, frozen=True):
    """One column: `edges` are those of a number's inner bins. No value of a row is in it, only bounds of bins."""

    name: str
    kind: Kind
    bins: tuple[str, ...]
    reference: tuple[float, ...]
    rows: int
    edges: tuple[float, ...] = ()


def of(profile: bins.Profile) -> tuple[Column, ...]:
    """All columns with bins."""
    features = _columns("Feature", profile.features, profile.feature_shares, rows=profile.feature_rows)
    return features + _columns("Prediction", profile.outputs, profile.output_shares, rows=profile.output_rows)


def _columns(
    kind: Kind, columns: Sequence[bins.Bins], shares: Sequence[tuple[float, ...]], *, rows: int
) -> tuple[Column, ...]:
    return tuple(
        Column(name=one.name, kind=kind, bins=one.labels, reference=part, rows=rows, edges=one.edges)
        for one, part in zip(columns, shares, strict=True)
    )
