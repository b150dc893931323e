"""One HTTP/1.1 connection: puts together its two halves, `reading` and `writing`, and decides how it ends.

Each half has its own state and deadline. One data chunk is parsed as a whole before anything is written, so the answers
of a pipelining client leave in one write, and the last of them is known when the connection should end. While nothing
at all is going on (`quiet`), a request with a known head takes a way around both halves: see `heads` and `express`.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol, cast

from seatrial_server.host import errors
from seatrial_server.protocol.http import heads, intake, reading, writing
from seatrial_server.protocol.http.exchange import Application, Exchange, Head, ShortWay

_MAX_PIPELINED = 64
_ANNOUNCE_SECONDS = 5.0
"""An old connection that is in use ends with an announced last answer; one that is idle for so long just ends."""


class Host(reading.Host, Protocol):
    """What a connection needs from its listener."""

    application: Application
    short_way: ShortWay | None
    retiring: bool
    date: bytes
    heads: heads.Heads

    def opened(self, connection: Connection) -> float:
        """Register; returns the time at which the connection is too old."""

    def closed(self, connection: Connection) -> None:
        """Forget."""


class Connection(asyncio.Protocol):
    """See the module. Attributes without underscore are for the listener."""

    def __init__(self, host: Host) -> None:
        self._host, self._short_way = host, host.short_way
        self._board = host.short_way.take if host.short_way is not None else None
        self.reader = reading.Reader(host, sink=self, take=self._take)
        self.served = 0
        self._quiet = True  # no part of a request has come, and no answer is due
        self._riding = False  # the one request of the connection is with the short way
        self._ending = False  # the next answer, with nothing behind it, is the last
        self._feeding = self._client_ended = False
        self._head = heads.NONE  # of the last request on the short way: most have one like it
        self._idle_until = 0.0
        self._swept = 0  # answers at the last sweep

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        host = self._host
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._write, self._intake = self._transport.write, intake.Intake(self._transport)
        self._writer = writing.Writer(self._transport, timeouts=host.timeouts, account=host.budget)
        self._retire_at = host.opened(self)
        self._ending = host.retiring
        self._idle_until = host.now + host.timeouts.idle

    def connection_lost(self, _: Exception | None) -> None:
        self._riding = self._quiet = False
        self.reader.abandon()
        self._writer.lost()
        self._host.closed(self)

    def data_received(self, data: bytes) -> None:
        if not self._quiet:
            self._read(data, fresh=False)
            return
        head, given = self._head, b""
        start = head.starts.get(len(data))
        if start is not None and data.startswith(start):
            begin = len(start)
        else:
            found = self._host.heads.find(data, head)
            if found is None:
                self._read(data, fresh=True)
                return
            head, begin, given = found
            self._head = head
        # A whole request with a head that the parser knows: it stands between two messages and stays there.
        self._quiet, self._riding = False, True
        if self._board is not None and head.json_part is not None:
            self._board((self, head, data, begin, given))
        else:
            self._host.application.handle(self.exchange(head, data, begin, time.perf_counter()))

    def _read(self, data: bytes, *, fresh: bool) -> None:
        reader, pending = self.reader, self._writer.pending
        self._catch_up()
        if reader.ended:
            return
        self._quiet, self._feeding = False, True
        error = reader.feed(data)
        self._feeding = False
        if error is not None:
            self._end_with(error)
        elif fresh and len(pending) == 1 and reader.stage is reading.Stage.NOTHING:
            self._host.heads.learn(data, pending[0])
        self._flush()

    def eof_received(self) -> bool:
        """A client may close its side and still read: keep ours until everything is answered."""
        self._catch_up()
        pending = self._writer.pending
        if self.reader.stage is not reading.Stage.NOTHING or not pending:
            return False
        pending[-1].keep_alive = self._quiet = False
        self.reader.ended = self._client_ended = True
        return self._transport.can_write_eof()

    def pause_writing(self) -> None:
        self._quiet = False
        self._writer.pause(self._host.now)
        self._intake.pause()

    def resume_writing(self) -> None:
        self._writer.resume(self._host.now)
        self._settle()

    # The reader's side

    def _take(self, exchange: Exchange) -> None:
        pending = self._writer.pending
        pending.append(exchange)
        if len(pending) >= _MAX_PIPELINED:
            self._intake.pause()
        self._host.application.handle(exchange)

    # The application's side: `exchange.Sink`

    def answered(self, exchange: Exchange) -> None:
        """While a chunk is being parsed the answers wait for its end."""
        if self._writer.ended:
            exchange.release(self._host.budget)
        elif not self._feeding:
            self._flush()

    # The short way's side: `exchange.Rider`

    def reply(self, answer: bytes) -> None:
        """What `_flush` comes to for one request with a known head."""
        if not self._riding:
            return  # the client has gone
        self._riding = False
        if self._ending:
            start, _, body = answer.partition(self._host.date + b"\r\n")
            self._writer.pending.append(Exchange(self, response=(start, body)))
            self._flush()
            return
        self.served += 1
        self._quiet = True  # first: a full buffer ends the quiet
        self._write(answer)

    def exchange(self, head: Head, data: bytes, begin: int, started: float) -> Exchange:
        """A request with a known head, as the application's general way wants it."""
        headers = heads.read(data[:begin])
        exchange = Exchange(self, head.target, head.method, headers, data[begin:], True, started)
        if self._riding:
            self._riding = False
            self._writer.pending.append(exchange)
        return exchange

    # The listener's side

    def sweep(self) -> None:
        """Act when a deadline has passed, or when the connection is idle and too old."""
        now = self._host.now
        if now > self._retire_at:
            self._ending = True
        if self._swept != self.served:
            self._swept, self._idle_until = self.served, now + self._host.timeouts.idle
        if self._quiet:
            if now > self._idle_until or now > self._retire_at + _ANNOUNCE_SECONDS:
                self.close_if_idle()
        elif self._writer.overdue(now):
            self._transport.abort()
        elif not self._intake.paused and self.reader.overdue(now):
            self.give_up()

    def stalls(self, seconds: float) -> bool:
        """Whether the client has sent nothing of its body for so long."""
        return bool(self.reader.held) and not self._intake.paused and self._host.now - self.reader.last > seconds

    def retire(self) -> None:
        """The port drains: announce the end with the next answer."""
        self._ending = True

    def give_up(self) -> None:
        """The client was too slow."""
        waited_for = self.reader.stage.value
        self._end_with(errors.RequestError(408, f"waited too long for {waited_for}", code="Timeout"))
        self._flush()

    def close_if_idle(self) -> None:
        """Close, unless a request has begun to arrive: also one that the kernel holds and we have not read."""
        if self._quiet and not self._intake.readable():
            self._quiet = False
            self.reader.ended = True
            self._transport.close()

    def abort(self) -> None:
        """The end of patience."""
        self._transport.abort()

    # Inside

    def _catch_up(self) -> None:
        """Something else happens before the request on the short way has its answer: see to that first."""
        if self._riding and self._short_way is not None:
            self._short_way.flush()

    def _end_with(self, error: errors.RequestError) -> None:
        """Make an error the last answer of the connection."""
        exchange = self.reader.abandon()
        exchange.keep_alive = False
        self._writer.pending.append(exchange)
        self._host.application.refused(exchange, error)
        feeding, self._feeding = self._feeding, True  # it is written with the others
        exchange.fail(error)
        self._feeding = feeding

    def _flush(self) -> None:
        """Write every answer whose turn has come."""
        host, reader, writer = self._host, self.reader, self._writer
        ready = writer.ready()
        if ready:
            last = not writer.pending and reader.stage is reading.Stage.NOTHING
            close = not ready[-1].keep_alive or (last and self._ending)
            self.served += len(ready)
            writer.write(ready, date=host.date, close=close)
            if close:
                self._hang_up()
                return
        if reader.expected_to_continue and not writer.pending:
            reader.expected_to_continue = False
            self._transport.write(writing.CONTINUE)
        self._settle()

    def _settle(self) -> None:
        """What may go on after writing."""
        reader, writer = self.reader, self._writer
        if writer.paused:
            return
        if len(writer.pending) < _MAX_PIPELINED:
            self._take_in()
        if not writer.pending and reader.stage is reading.Stage.NOTHING and not reader.ended:
            self._quiet = True

    def _take_in(self) -> None:
        if self._intake.resume():
            self.reader.resume()

    def _hang_up(self) -> None:
        self.reader.abandon()
        self._writer.drop()
        if self._client_ended:
            self._transport.close()
            return
        self._writer.end(self._host.now)
        if not self._writer.paused:
            self._take_in()
