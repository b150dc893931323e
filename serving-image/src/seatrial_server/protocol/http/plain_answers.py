"""The whole answers of the short way, head and body, as they go on the wire.

Answers of one length differ in the number of their id and in their outputs alone, so all that stands before is kept by
length until the date changes.
"""

from __future__ import annotations

from collections.abc import Sequence

from seatrial_server.protocol import tracing
from seatrial_server.protocol.http.exchange import OK, OK_BINARY, Ride

_MAX_KEPT = 1024


class Answers:
    """For one model. `start` is what every body begins with, up to the id."""

    def __init__(self, start: bytes, ids: tracing.RequestIds) -> None:
        self._start, self._numbers = start, ids.numbers
        self._id = ids.form.encode()
        self._fixed = len(start) + len(b'""')
        self._heads: dict[int, bytes] = {}
        self.renew(b"")

    def renew(self, lines: bytes) -> None:
        """See `exchange.ShortWay`."""
        self._heads.clear()
        self._lines = lines
        behind = _escaped(b"%b\r\n%b" % (lines, self._start)) + b'"%b"%b'
        self._json, self._binary = OK + behind, OK_BINARY + behind + b"%b"

    def send(self, rides: Sequence[Ride], texts: Sequence[bytes]) -> None:
        """To each rider its answer in JSON. `texts` are what follows the id, for each in turn."""
        heads = self._heads
        for (rider, _, _, _, given), text, number in zip(rides, texts, self._numbers, strict=False):
            if given:
                rider.reply(self._json % (self._fixed + len(given) + len(text), given, text))
                continue
            head = heads.get(len(text))
            if head is None:
                head = self._head(len(text))
            rider.reply(head % number + text)

    def send_binary(self, rides: Sequence[Ride], texts: Sequence[bytes], parts: Sequence[bytes]) -> None:
        """The same, each with a binary part behind its JSON."""
        for (rider, _, _, _, given), text, part, number in zip(rides, texts, parts, self._numbers, strict=False):
            request_id = given or self._id % number
            length = self._fixed + len(request_id) + len(text)
            rider.reply(self._binary % (length + len(part), length, request_id, text, part))

    def _head(self, size: int) -> bytes:
        """What stands before an outputs' text of this size; only the number of the id is left open."""
        length = self._fixed + len(self._id % 0) + size
        before = _escaped(b'%b%b\r\n%b"' % (OK % length, self._lines, self._start))
        if len(self._heads) >= _MAX_KEPT:
            self._heads.clear()
        head = self._heads[size] = before + self._id + b'"'
        return head


def _escaped(text: bytes) -> bytes:
    return text.replace(b"%", b"%%")
