"""The answer to a client that comes while the port has as many connections as it may have."""

from __future__ import annotations

import asyncio
from typing import cast

_BODY = b'{"error":"too many connections: try again later","code":"Overloaded"}'
_HEAD = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Retry-After: 1\r\nConnection: close\r\n" % len(_BODY)
)


class TurnedAway(asyncio.Protocol):
    """Says so and closes. `lines` are header lines of every answer."""

    def __init__(self, lines: bytes = b"") -> None:
        self._lines = lines

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        writing = cast(asyncio.Transport, transport)
        writing.write(b"%b%b\r\n%b" % (_HEAD, self._lines, _BODY))
        writing.close()
