"""What the digits pass through before they are sent: a scanner whose lamp and whose lines are not what they were.

Set while the client runs, as the world changes while a model serves.
"""

from __future__ import annotations

import random

import msgspec

Values = list[float | None]
DEAD_LINE = slice(24, 32)
"""Of the pixels: the fourth of eight lines."""


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`ink`: share of each value that is left. `gaps`: share of the rows in which a line of pixels is missing."""

    ink: float = 1.0
    gaps: float = 0.0


class Scanner:
    """The state it is in."""

    def __init__(self) -> None:
        self.state = State()

    def lit(self, values: list[float]) -> list[float]:
        """Under its lamp."""
        return values if self.state.ink == 1 else [self.state.ink * value for value in values]

    def read(self, values: list[float], *, chance: random.Random) -> Values:
        """Line by line."""
        read: Values = [*values]
        if self.state.gaps and chance.random() < self.state.gaps:
            read[DEAD_LINE] = [None] * len(read[DEAD_LINE])
        return read
