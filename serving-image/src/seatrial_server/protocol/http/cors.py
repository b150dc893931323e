"""Web pages of other origins: what browsers ask before they call (preflight), and what lets a page read an answer.

Only for the configured origins; without any, a browser keeps pages of other origins out. No credentials: a page that
sends a token sends it as a header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from seatrial_server.host import config

_LINES = (
    b"Access-Control-Allow-Origin: %b\r\nVary: Origin\r\n"
    b"Access-Control-Expose-Headers: seatrial-revision, seatrial-covered, seatrial-degraded, "
    b"inference-header-content-length, retry-after\r\n"
)
_PREFLIGHT = b"Access-Control-Allow-Methods: GET, HEAD, POST\r\nAccess-Control-Max-Age: 600\r\n"
_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1000}")
Headers = Mapping[bytes, bytes]


class Cors:
    """For one server."""

    def __init__(self, settings: config.Cors) -> None:
        origins: Iterable[str] = settings.allow_origins
        self._origins = frozenset(origin.encode() for origin in origins)

    def lines(self, headers: Headers) -> bytes:
        """Header lines of the answer to this request; none for a page that may not read it."""
        origin = headers.get(b"origin", b"")
        if b"*" in self._origins:
            return _LINES % b"*" if origin else b""
        return _LINES % origin if origin in self._origins else b""

    def preflight(self, headers: Headers) -> bytes | None:
        """Further lines of the answer to a browser's question; None when the request is no such question."""
        if b"access-control-request-method" not in headers or not self.lines(headers):
            return None
        asked = headers.get(b"access-control-request-headers", b"")
        allowed = b"Access-Control-Allow-Headers: %b\r\n" % asked if _NAMES.fullmatch(asked) else b""
        return _PREFLIGHT + allowed
