"""Request heads like those that llhttp has parsed before.

Behind a gateway no two heads are equal: each has an id, a trace, an address of its own. But the parse of a head depends
on the value of a dozen headers only; any other value is kept as it is, whatever it says, as long as its bytes are
allowed. So a head that llhttp accepted is remembered as a pattern: every byte of it, with gaps for the values that
nobody decides by. What fits the pattern needs neither llhttp's callbacks nor our rules again, and one pass of a
compiled pattern costs a tenth of them. Only plain heads are remembered: Content-Length framing, no Expect, a connection
that stays open.
"""

from __future__ import annotations

import re

import msgspec

from seatrial_server.protocol.http import rules
from seatrial_server.protocol.http.exchange import Exchange, Head, ShortWay
from seatrial_server.relay.headers import COPIED

_MAX_KNOWN = 32
_MAX_SEEN = 1024
_MAX_BYTES = 8 * 1024
_MAX_LINES = 40
_MAX_STARTS, _MAX_START_BYTES = 256, 1024
"""Of one shape, heads to the byte. A tick forgets them all: what clients repeat is there again at once."""
_PER_TICK = 4
"""Compiling a pattern takes as long as fifty requests: heads that never repeat must not make us do it."""
_NEVER = (b"transfer-encoding", b"expect")
_DECIDING = frozenset(
    {
        *(b"host", b"connection", b"proxy-connection", b"upgrade", b"transfer-encoding", b"expect"),
        *(b"accept-encoding", b"content-encoding", b"inference-header-content-length"),
    }
)
"""Headers whose value llhttp, `rules` or the short way decide by: they are remembered to the letter."""
_VALUE = rb"[\t -~\x80-\xff]*+"
_PLAIN_ID = rb"[!#-\[\]-~]{1,256}+"  # what stands in JSON as it is, see `tracing.RequestIds.choose`
_ID = re.compile(rb"([!-~]+:[ \t]*)(%b)" % _PLAIN_ID)
_LENGTH = re.compile(rb"([!-~]+:[ \t]*)(\d{1,9})")
NONE = Head(match=lambda _: None, method=b"", target=b"", length_at=0, id_at=0, json_part=None)


class _Shape(msgspec.Struct):
    """A head as a pattern, and which of its groups are the length and the request id (0: none)."""

    pattern: bytes = b""
    length: int = 0
    request_id: int = 0
    groups: int = 0

    def add(self, line: bytes) -> bool:
        """A header; False for one that is written in an unusual way."""
        name, colon, _ = line.partition(b":")
        lower = name.lower()
        if lower == b"content-length":
            found = _LENGTH.fullmatch(line)
            if found is None or self.length:
                return False
            self.length = self._group(re.escape(found[1]), rb"\d{1,9}+")
        elif lower == b"x-request-id":
            found = _ID.fullmatch(line)
            if found is None or self.request_id:
                return False
            self.request_id = self._group(re.escape(found[1]), _PLAIN_ID)
        elif lower in _DECIDING:
            self.pattern += re.escape(line)
        else:
            self.pattern += re.escape(name + colon) + _VALUE
        self.pattern += rb"\r\n"
        return True

    def _group(self, before: bytes, content: bytes) -> int:
        self.pattern += b"%b(%b)" % (before, content)
        self.groups += 1
        return self.groups


class Heads:
    """The heads of one listener."""

    def __init__(self, short_way: ShortWay | None = None, *, max_body_bytes: int) -> None:
        self._short_way, self._max_body_bytes = short_way, max_body_bytes
        self._known: list[Head] = []
        self._seen: set[int] = set()  # by hash: it costs nothing but a pattern if two have the same
        self._left = _PER_TICK

    def find(self, data: bytes, likely: Head = NONE) -> tuple[Head, int, bytes] | None:
        """The one that these bytes begin with, if it is known; where the body begins, and the client's request id.

        Only for a whole request, no more and no less, of a size that is allowed.
        """
        head, match = likely, likely.match(data)
        if match is None:
            found = self._search(data)
            if found is None:
                return None
            head, match = found
        begin = match.end()
        length = int(match[head.length_at])
        if length != len(data) - begin or length > self._max_body_bytes or begin > rules.MAX_HEADER_BYTES:
            return None
        if head.id_at:
            return head, begin, match[head.id_at]
        if begin <= _MAX_START_BYTES and len(head.starts) < _MAX_STARTS:
            head.starts.setdefault(len(data), data[:begin])
        return head, begin, b""

    def _search(self, data: bytes) -> tuple[Head, re.Match[bytes]] | None:
        for place, head in enumerate(self._known):
            match = head.match(data)
            if match is not None:
                if place:  # what was asked for last is tried first
                    self._known.insert(0, self._known.pop(place))
                return head, match
        return None

    def tick(self) -> None:
        """Time has passed: some more may be learnt."""
        self._left = _PER_TICK
        for head in self._known:
            head.starts.clear()

    def learn(self, chunk: bytes, exchange: Exchange) -> None:
        """`chunk` held exactly this request, from the first byte to the last. What is seen again is remembered."""
        shape = _shape(chunk, exchange)
        if shape is None:
            return
        seen = hash(shape.pattern)
        if seen not in self._seen:
            if len(self._seen) >= _MAX_SEEN:
                self._seen.clear()
            self._seen.add(seen)
        elif self._left:
            self._left -= 1
            head = Head(
                match=re.compile(shape.pattern).match,
                method=exchange.method,
                target=exchange.target,
                length_at=shape.length,
                id_at=shape.request_id,
                json_part=self._short_way.json_part(exchange) if self._short_way is not None else None,
                copy=COPIED in exchange.headers,
            )
            self._known = [head, *self._known[: _MAX_KNOWN - 1]]


def _shape(chunk: bytes, exchange: Exchange) -> _Shape | None:
    """The head's pattern, if it is a plain one."""
    headers = exchange.headers
    end = len(chunk) - int(headers.get(b"content-length", b"0"))
    if not exchange.keep_alive or any(name in headers for name in _NEVER):
        return None
    if end > _MAX_BYTES or chunk.find(b"\r\n\r\n") + 4 != end or read(chunk[:end]) != headers:
        return None
    first, *lines = chunk[: end - 4].split(b"\r\n")
    shape = _Shape(pattern=re.escape(first) + rb"\r\n")
    if len(lines) > _MAX_LINES or not all(shape.add(line) for line in lines) or not shape.length:
        return None
    shape.pattern += rb"\r\n"
    return shape


def read(head: bytes) -> dict[bytes, bytes]:
    """The headers of a head that has the form of one, as `reading` gives them."""
    result: dict[bytes, bytes] = {}
    for line in head[:-4].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        result[name] = b"%b, %b" % (result[name], value) if name in result else value
    return result
