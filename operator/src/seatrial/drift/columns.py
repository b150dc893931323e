"""What is counted: the frozen bins of one feature or prediction, and the share of the reference rows in each of them.

The bins are the server's, in its order: `missing below 1 .. n above` for numbers, `missing unseen other v..` for
categories. The Structs are the JSON of `seatrial drift` as well: decoding validates.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Share = Annotated[float, Meta(ge=0, le=1)]

MISSING = "missing"
BELOW, ABOVE = "below", "above"
UNSEEN = "unseen"
REFUSED = 2
"""Further places of a row of counts, behind its bins: rows refused for a missing value, and for one not allowed."""
OUTPUT = " (output)"
"""Ends the name of a prediction that a feature has as well."""
ATTRIBUTION = " (attribution)"
_MISSING_CODE = "Missing"


class Kind(enum.StrEnum):
    """What a column is of. The values of an attribution are features: which of them moved the answer most."""

    FEATURE = "Feature"
    PREDICTION = "Prediction"
    ATTRIBUTION = "Attribution"


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One watched column.

    `reference` has the share of each bin among `rows` reference rows. `edges` are those of a number's inner bins, one
    more than these; without them words speak of bins instead of values.
    """

    name: str
    bins: Annotated[tuple[str, ...], Meta(min_length=3, max_length=64)]
    reference: tuple[Share, ...]
    rows: Annotated[int, Meta(ge=1)]
    kind: Kind = Kind.FEATURE
    edges: tuple[float, ...] = ()

    @property
    def ordered(self) -> bool:
        """Whether the values are numbers."""
        return self.bins[1] == BELOW and self.bins[-1] == ABOVE

    @property
    def inner(self) -> int:
        """How many of a number's bins lie within the reference."""
        return len(self.bins) - 3


def labelled(column: Column) -> str:
    """The column's name in labels of metrics."""
    return column.name.removesuffix(OUTPUT) if column.kind is Kind.PREDICTION else column.name


def places(column: Column) -> int:
    """Length of a row of counts."""
    return len(column.bins) + REFUSED


def check(column: Column) -> None:
    """What the types can't say.

    Raises:
        ValueError: names the field.
    """
    if column.bins[0] != MISSING or not (column.ordered or column.bins[1] == UNSEEN):
        raise ValueError("bins must begin with missing and below (and end with above), or with missing and unseen")
    if len(set(column.bins)) != len(column.bins):
        raise ValueError("bins must have different names")
    if len(column.reference) != len(column.bins):
        raise ValueError(
            f"reference must have {len(column.bins)} shares as bins has names, not {len(column.reference)}"
        )
    if abs(sum(column.reference) - 1) > 1e-3:
        raise ValueError(f"reference must add up to 1, not {sum(column.reference):g}")
    if column.edges and (not column.ordered or len(column.edges) != column.inner + 1):
        raise ValueError("edges are for numbers: one more than there are bins between below and above")


def counts(column: Column, rows: tuple[int, ...], refused: Mapping[str, int]) -> list[int]:
    """Rows by bin, and those refused for this column by their code, as one row.

    Raises:
        ValueError: another number of bins.
    """
    if len(rows) != len(column.bins):
        raise ValueError(f"{column.name} must have {len(column.bins)} counts as it has bins, not {len(rows)}")
    missing = refused.get(_MISSING_CODE, 0)
    return [*rows, missing, sum(refused.values()) - missing]
