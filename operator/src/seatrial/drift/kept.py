"""What is remembered of a revision's traffic as bytes for a ConfigMap, and back. Untrusted: anybody may have edited it.

Bounded both ways. Of another release, another revision or another set of bins, it counts as nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from seatrial.drift import columns as columns_
from seatrial.drift import stored
from seatrial.drift.acceptance import Reference
from seatrial.drift.columns import Column, Count
from seatrial.drift.watch import Memory

VERSION = 1
MOST_PACKED = 700 * 1024
"""Base64 makes a third more of it, and a ConfigMap holds 1 MiB."""
MOST_PLAIN = 32 * 1024 * 1024
LAST = 253_000_000_000
"""Unix seconds near the end of the year 9987: what is later no calendar has a name for."""


class Accepted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last accept-drift command that was followed, and the references of all of them."""

    token: Annotated[str, Meta(max_length=1024)]
    at: datetime
    references: Annotated[tuple[Reference, ...], Meta(max_length=128)]


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole document. `hour`: the length of an hour in seconds."""

    version: int
    revision: str
    hour: Count
    state: stored.State
    accepted: Accepted | None = None


class Unreadable(ValueError):
    """It can't be used; the text says why."""


def pack(memory: Memory, *, revision: str, hour: int, accepted: Accepted | None) -> bytes:
    """Raises Unreadable: too long to be kept."""
    state = stored.state(memory)
    plain = msgspec.json.encode(Kept(version=VERSION, revision=revision, hour=hour, state=state, accepted=accepted))
    packed = zlib.compress(plain, 6)
    if len(packed) > MOST_PACKED:
        raise Unreadable(f"it has {len(packed)} bytes, more than {MOST_PACKED}")
    return packed


def unpack(content: bytes, columns: Sequence[Column], *, revision: str, hour: int) -> tuple[Memory, Accepted | None]:
    """Raises Unreadable."""
    try:
        stream = zlib.decompressobj()
        plain = stream.decompress(content, MOST_PLAIN)
        if not stream.eof:
            raise Unreadable("it is cut off, or too long")
        found = msgspec.json.decode(plain, type=Kept)
        if (found.version, found.revision, found.hour) != (VERSION, revision, hour):
            raise Unreadable("it is of another release or revision")
        known = {one.name: columns_.places(one) for one in columns}
        memory = stored.memory(found.state, known)
        if (at(memory) or 0) * hour > LAST:
            raise Unreadable("it tells of hours that no calendar has")
        return memory, found.accepted
    except (zlib.error, ValueError, UnicodeError, RecursionError) as error:
        raise Unreadable(str(error)) from error


def at(memory: Memory) -> int | None:
    """The last hour that is known."""
    return max((trace.past.at for trace in memory.traces.values()), default=None)
