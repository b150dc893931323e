"""What a connection may wait for, how long, and how much all connections of a port may hold."""

from __future__ import annotations

import enum

import msgspec


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds. A body has `body` plus one second for every `slowest` bytes that arrived."""

    idle: float = 75.0
    head: float = 10.0
    body: float = 10.0
    slowest: int = 64 * 1024
    write: float = 30.0
    linger: float = 2.0


class Phase(enum.Enum):
    """What the connection waits for; each phase but BUSY has a deadline."""

    IDLE = "the first byte of a request"
    HEAD = "the rest of the head"
    BODY = "the rest of the body"
    BUSY = "the application"
    WRITING = "a client that does not read"
    LINGER = "the client to close"


class Bounds(msgspec.Struct, frozen=True):
    """Of one port. `unfinished_bytes` is what the bodies may have together that have begun to arrive, but not ended."""

    connections: int = 4096
    unfinished_bytes: int = 128 * 1024 * 1024
