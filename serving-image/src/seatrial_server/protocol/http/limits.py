"""How long a connection waits, and how many there may be."""

from __future__ import annotations

import msgspec


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds. Bodies and answers must move: at least `slowest` bytes a second, over any `body` or `write` seconds."""

    idle: float = 75.0
    head: float = 10.0
    body: float = 10.0
    write: float = 30.0
    slowest: int = 64 * 1024
    stalled: float = 1.0
    """A body of which nothing came for so long gives way when there is no room for another."""
    linger: float = 2.0


class Bounds(msgspec.Struct, frozen=True):
    """Of one port. `turned_away`: connections too many that are told so at a time; any more are just cut off."""

    connections: int = 4096
    turned_away: int = 256
