"""The writing half of a connection: answers out in the order of their requests, as fast as the client takes them.

It knows nothing of how requests arrive. Answers that are ready together leave in one write; large ones keep their bytes
of the budget until the client has taken them.
"""

from __future__ import annotations

import asyncio
import collections
import math

from seatrial_server.host import budget
from seatrial_server.protocol.http.exchange import Exchange
from seatrial_server.protocol.http.limits import Timeouts

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Writer:
    """See the module. `deadline` is infinite while the client does what it should."""

    def __init__(self, transport: asyncio.Transport, *, timeouts: Timeouts, account: budget.Budget) -> None:
        self._transport, self._timeouts, self._budget = transport, timeouts, account
        self.pending: collections.deque[Exchange] = collections.deque()
        """Requests whose answer is due, or waits for those before it."""
        self.paused = False
        self.ended = False
        """The last answer has been written."""
        self._deadline = math.inf
        self._left = self._held = 0

    def ready(self) -> list[Exchange]:
        """The answered requests whose turn has come; they are no longer pending."""
        pending, result = self.pending, []
        while pending and pending[0].response is not None:
            result.append(pending.popleft())
        return result

    def write(self, exchanges: list[Exchange], *, date: bytes, close: bool) -> None:
        """Send these answers; `close`: the last one of them is the connection's last."""
        out: list[bytes] = []
        for exchange in exchanges:
            assert exchange.response is not None  # noqa: S101
            head, body = exchange.response
            end = close and exchange is exchanges[-1]
            lines = date[: date.find(b"\n") + 1] if exchange.foreign else date  # what follows the date is our own
            out += [head, lines, b"Connection: close\r\n\r\n" if end else b"\r\n", body]
            self._held += exchange.charged
            exchange.charged = 0
        self._transport.write(b"".join(out))
        self._settle()

    def end(self, now: float) -> None:
        """Nothing more will be sent. Wait for the client's end: closing with unread bytes would reset the answer."""
        self.ended = True
        self.drop()
        if self._transport.can_write_eof():  # TLS has no half-closed connections
            self._transport.write_eof()
        if not self.paused:
            self._deadline = now + self._timeouts.linger

    def pause(self, now: float) -> None:
        """The client does not read as fast as we write."""
        self.paused = True
        self._deadline, self._left = now + self._timeouts.write, self._transport.get_write_buffer_size()

    def resume(self, now: float) -> None:
        """It has caught up."""
        self.paused = False
        self._deadline = now + self._timeouts.linger if self.ended else math.inf
        self._settle()

    def overdue(self, now: float) -> bool:
        """Whether the client has not taken what it should have."""
        if now <= self._deadline:
            return False
        if self.paused:
            left = self._transport.get_write_buffer_size()
            if self._left - left >= self._timeouts.slowest * self._timeouts.write:
                self._deadline, self._left = now + self._timeouts.write, left
                return False
        return True

    def drop(self) -> None:
        """Forget the answers that nobody waits for."""
        for exchange in self.pending:
            exchange.release(self._budget)
        self.pending.clear()

    def lost(self) -> None:
        """The connection is gone."""
        self.ended = True
        self.drop()
        self._give()

    def _settle(self) -> None:
        if self._held and not self.paused:
            self._give()

    def _give(self) -> None:
        self._budget.give(self._held)
        self._held = 0
