"""A listening port: accepts connections, sweeps their deadlines, lets go of them on shutdown.

The drain follows what Kubernetes does: endpoints leave a moment after the signal, so the port keeps accepting for some
seconds while readiness already fails; every answer then carries Connection: close.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import random
import ssl
import time
from collections.abc import Callable

import msgspec

from seatrial_server.host import budget, logs
from seatrial_server.protocol.http.connection import Connection
from seatrial_server.protocol.http.exchange import Application, ShortWay
from seatrial_server.protocol.http.heads import Heads
from seatrial_server.protocol.http.limits import Bounds, Timeouts
from seatrial_server.protocol.http.turned_away import TurnedAway

_SWEEP_SECONDS = 0.25
_BACKLOG = 1024

log = logging.getLogger(__name__)


class Ages(msgspec.Struct, frozen=True):
    """Seconds. `connection` is jittered by a quarter, so that connections do not end all at once.

    A promotion leaves the connections there are at pods of the version before: so long they may stay, which is little
    of a soak, and rare enough to cost nothing. Shares need no such end where pods relay.
    """

    connection: float = 120.0
    keep_accepting: float = 3.0
    finish: float = 25.0


class Listener:
    """One port and its connections; implements `connection.Host`. `lines` are header lines of every answer."""

    def __init__(
        self,
        application: Application,
        *,
        short_way: ShortWay | None = None,
        timeouts: Timeouts | None = None,
        ages: Ages | None = None,
        bounds: Bounds | None = None,
        account: budget.Budget | None = None,
        lines: bytes = b"",
        jitter: Callable[[float, float], float] = random.uniform,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.application = application
        self.short_way = short_way
        self.timeouts = timeouts or Timeouts()
        self._clock = clock
        self.now = clock()
        self.retiring = False
        self.date = b""  # and `lines`: what every answer ends its head with
        self._lines = lines
        self._ages = ages or Ages()
        self._bounds = bounds or Bounds()
        self.max_body_bytes = application.max_body_bytes
        self.heads = Heads(short_way, max_body_bytes=self.max_body_bytes)
        self.budget = account or budget.of_process(max_body_bytes=self.max_body_bytes)
        self._turned_away = 0
        self._jitter = jitter
        self._connections: set[Connection] = set()
        self._leaving: set[TurnedAway] = set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._tick()

    async def open(self, *, host: str | None, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen, encrypted where there is a context; returns the port, which differs from the argument when that is 0.

        Raises OSError.
        """
        loop = asyncio.get_running_loop()
        self._tick()
        self._server = await loop.create_server(
            self._accept,
            host,
            port,
            backlog=_BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=self.timeouts.head if tls else None,
            # An idle client reads nothing, so it does not answer the goodbye either.
            ssl_shutdown_timeout=self.timeouts.linger if tls else None,
        )
        self._sweeper = loop.create_task(self._sweep())
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def drain(self) -> None:
        """Let go without losing a request; returns when nothing is in flight, or when `finish` has passed."""
        self.retire()
        for connection in list(self._connections):
            # A connection that was never used may carry its first request at this very moment: it may stay for now.
            if connection.served:
                connection.close_if_idle()
        await asyncio.sleep(self._ages.keep_accepting)
        await self.close()

    def retire(self) -> None:
        """From now on the next answer on each connection is its last."""
        self.retiring = True
        for connection in self._connections:
            connection.retire()

    async def close(self) -> None:
        """Stop accepting, finish what is in flight, end everything."""
        if self._server is not None:
            self._server.close()
        self.retire()
        give_up = time.monotonic() + self._ages.finish
        while self._connections and time.monotonic() < give_up:
            for connection in list(self._connections):
                connection.close_if_idle()
            await asyncio.sleep(0.02)
        for connection in list(self._connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _accept(self) -> asyncio.Protocol:
        if len(self._connections) < self._bounds.connections:
            return Connection(self)
        self._turned_away += 1
        self.application.turned_away()
        return TurnedAway(self._leaving, self._lines, most=self._bounds.turned_away, seconds=self.timeouts.linger)

    def opened(self, connection: Connection) -> float:
        """See `connection.Host`."""
        self._connections.add(connection)
        return self.now + self._ages.connection * self._jitter(0.75, 1.25)

    def closed(self, connection: Connection) -> None:
        """See `connection.Host`."""
        self._connections.discard(connection)

    def make_room(self, count: int) -> bool:
        """See `reading.Host`. Those that hold most and have stalled go first."""
        if self.budget.take(count):
            return True
        stalled = [one for one in self._connections if one.stalls(self.timeouts.stalled)]
        for connection in sorted(stalled, key=lambda one: -one.reader.held):
            connection.give_up()
            if self.budget.take(count):
                return True
        return False

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self._tick()
            if self._turned_away:
                logs.warning(log, "connections turned away", count=self._turned_away, bound=self._bounds.connections)
                self._turned_away = 0
            for connection in list(self._connections):
                connection.sweep()

    def _tick(self) -> None:
        self.now = self._clock()
        self.heads.tick()
        self.date = b"Date: %b\r\n%b" % (email.utils.formatdate(usegmt=True).encode(), self._lines)
        if self.short_way is not None:
            self.short_way.renew(self.date)
