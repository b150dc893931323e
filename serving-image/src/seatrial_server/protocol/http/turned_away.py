"""The answer to a client that comes while the port has as many connections as it may have."""

from __future__ import annotations

import asyncio
from collections.abc import MutableSet
from typing import cast

_BODY = b'{"error":"too many connections: try again later","code":"Overloaded"}'
_HEAD = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Retry-After: 1\r\nConnection: close\r\n" % len(_BODY)
)


class TurnedAway(asyncio.Protocol):
    """Says so, and waits a little for the client to go: closing with its request unread would reset the answer.

    `leaving` are all that wait so, at most `most`; beyond that there is no answer. `lines` end every head.
    """

    def __init__(self, leaving: MutableSet[TurnedAway], lines: bytes, *, most: int, seconds: float) -> None:
        self._leaving, self._lines, self._most, self._seconds = leaving, lines, most, seconds

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        writing = cast(asyncio.Transport, transport)
        if len(self._leaving) >= self._most:
            writing.abort()
            return
        self._leaving.add(self)
        writing.write(b"%b%b\r\n%b" % (_HEAD, self._lines, _BODY))
        if writing.can_write_eof():
            writing.write_eof()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, writing.abort)

    def connection_lost(self, _: Exception | None) -> None:
        if self in self._leaving:
            self._leaving.remove(self)
            self._timer.cancel()
