"""Request heads that llhttp has parsed before, byte for byte.

A client sends the same head with nearly every request. The parse of a head is a function of its bytes alone, so a head
that was accepted once needs neither llhttp's callbacks nor our rules again: that is a third of the cost of a request.
Only plain heads are remembered: Content-Length framing, no Expect, a connection that stays open.
"""

from __future__ import annotations

from seatrial_server.protocol.http.exchange import Exchange, Head, ShortWay

_MAX_HEADS = 1024
_MAX_BYTES = 2048
_NEVER = (b"transfer-encoding", b"expect", b"upgrade")


class Heads:
    """The heads of one listener, by their bytes up to and including the empty line."""

    def __init__(self, short_way: ShortWay | None = None) -> None:
        self._short_way = short_way
        self._known: dict[bytes, Head] = {}
        self.find = self._known.get

    def learn(self, chunk: bytes, exchange: Exchange) -> None:
        """`chunk` held exactly this request, from the first byte to the last."""
        headers = exchange.headers
        length = int(headers.get(b"content-length", b"-1"))
        if length < 0 or not exchange.keep_alive or any(name in headers for name in _NEVER):
            return
        end = len(chunk) - length
        if end > _MAX_BYTES or chunk.find(b"\r\n\r\n") + 4 != end:
            return
        if len(self._known) >= _MAX_HEADS:
            self._known.clear()  # heads that never repeat (a request id in each) must not fill the memory
        json_part = self._short_way.json_part(exchange) if self._short_way is not None else None
        self._known[chunk[:end]] = Head(exchange.method, exchange.target, headers, length, json_part)
