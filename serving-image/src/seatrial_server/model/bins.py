"""Frozen bins as the manifest keeps them. `prepare.profile` makes them, `observe.drift` counts in them."""

from __future__ import annotations

import msgspec

from seatrial_server.model import schema

TOP = -1
"""The column of an output with several scores per row: the highest of them."""


class Bins(msgspec.Struct, frozen=True):
    """One column's bins: `edges` (lowest, inner ones, highest) for numbers, else `categories` and `rare` ones.

    `tensor` is the position in the schema. Bins are closed below, the last one also above.
    """

    name: str
    tensor: int
    column: int
    edges: tuple[float, ...] = ()
    categories: tuple[schema.Value, ...] = ()
    rare: tuple[schema.Value, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Label of every bin, in the order of `codes` in `drift`."""
        if self.edges:
            return ("missing", "below", *(str(number) for number in range(1, len(self.edges))), "above")
        return ("missing", "unseen", "other", *(label(value) for value in self.categories))


class Typical(msgspec.Struct, frozen=True):
    """A column of an input, and a value that stands in for it: the reference's median or mode."""

    name: str
    tensor: int
    column: int
    value: schema.Value


class Profile(msgspec.Struct, frozen=True):
    """The bins, per bin the share of the reference rows in it, and how many rows these were (0: not known).

    `typical` has the columns whose influence on an answer can be asked for.
    """

    features: tuple[Bins, ...] = ()
    outputs: tuple[Bins, ...] = ()
    feature_shares: tuple[tuple[float, ...], ...] = ()
    output_shares: tuple[tuple[float, ...], ...] = ()
    feature_rows: int = 0
    output_rows: int = 0
    typical: tuple[Typical, ...] = ()


def label(value: schema.Value) -> str:
    """Different values have different labels, none of them one of the bins without a value."""
    text = str(value)
    if isinstance(value, float):
        text = short if float(short := f"{value:g}") == value else repr(value)
    return f"={text}" if text.lstrip("=") in ("missing", "unseen", "other") else text
