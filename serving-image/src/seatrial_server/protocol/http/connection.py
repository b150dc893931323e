"""One HTTP/1.1 connection: bytes in, exchanges to the application, answers out in order.

Parsing is llhttp's (httptools); this module owns limits, order, time-outs and the end of a connection. It knows nothing
of models. One data chunk is parsed as a whole before anything is written, so the answers of a pipelining client leave
in one write, and the last of them is known when the connection should end.
"""

from __future__ import annotations

import asyncio
import collections
import select
import time
from typing import NoReturn, Protocol, cast

import httptools

from seatrial_server.host import errors
from seatrial_server.protocol.http import rules
from seatrial_server.protocol.http.exchange import Application, Exchange, Head, ShortWay
from seatrial_server.protocol.http.heads import Heads
from seatrial_server.protocol.http.phases import Phase, Timeouts

_MAX_PIPELINED = 64
_ANNOUNCE_SECONDS = 5.0
"""An old connection that is in use ends with an announced last answer; one that is idle for so long just ends."""


_IDLE, _BUSY = Phase.IDLE, Phase.BUSY  # an enum's attribute costs more than a global: once or twice per request


class Host(Protocol):
    """What a connection needs from its listener.

    `now` is a coarse clock, moved by the listener's sweep; `room` are the bytes that unfinished bodies may still take.
    """

    application: Application
    short_way: ShortWay | None
    timeouts: Timeouts
    now: float
    retiring: bool
    date: bytes
    heads: Heads
    room: int

    def opened(self, connection: Connection) -> float:
        """Register; returns the time at which the connection is too old."""

    def closed(self, connection: Connection) -> None:
        """Forget."""


class _Refused(Exception):
    """Ends parsing; the connection's last exchange holds the answer."""


class Connection(asyncio.Protocol):
    """See the module. Attributes without underscore are for the listener."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._short_way = host.short_way
        self._pending: collections.deque[Exchange] = collections.deque()
        self._parser = httptools.HttpRequestParser(self)
        self._current: Exchange | None = None
        self._parts: list[bytes] = []
        self._feeding = False
        self._offered = self._retelling = False  # see `_feed`
        self._ended = False  # no further request is read
        self._write_paused = self._read_paused = self._client_ended = False
        self._head_bytes = self._body_bytes = self._arrived = self._held = 0
        self._continue_for: Exchange | None = None
        self._only: Exchange | None = None
        """The request with a known head that is answered while nothing else happens on the connection."""
        self.phase = Phase.IDLE
        self.deadline = 0.0
        self.served = 0

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._retire_at = self._host.opened(self)
        self._wait_for(Phase.IDLE, self._host.timeouts.idle)

    def connection_lost(self, _: Exception | None) -> None:
        self._ended, self._only = True, None
        self._pending.clear()
        self._release()
        self._host.closed(self)

    def data_received(self, data: bytes) -> None:
        if self.phase is not _IDLE:
            self._catch_up()
        if self._ended:
            return
        begins = self.phase is _IDLE
        if begins:
            end = data.find(b"\r\n\r\n") + 4
            head = self._host.heads.find(data[:end])
            if head is not None and head.length == len(data) - end:
                # A whole request with a head that the parser knows: it stands between two messages and stays there.
                self.phase, short_way = _BUSY, self._short_way
                if short_way is None or head.json_part is None or not short_way.take(self, head, data, end):
                    self._host.application.handle(self.exchange(head, data, time.perf_counter()))
                return
            self._wait_for(Phase.HEAD, self._host.timeouts.head)
        elif self.phase is Phase.BODY:
            self.deadline += len(data) / self._host.timeouts.slowest
        self._feeding, self._arrived = True, 0
        try:
            self._feed(data)
            if self.phase is Phase.BODY:
                self._hold(len(data))
            elif self.phase is Phase.HEAD:
                self._count_head(len(data))
            elif begins and self._arrived == 1 and self._current is None:
                self._host.heads.learn(data, self._pending[-1])
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _Refused):
                raise
        except _Refused:
            pass  # the refusal is the answer of the last exchange
        except httptools.HttpParserError as error:
            if not self._ended:
                self._end_with(errors.RequestError(400, f"malformed HTTP: {error}", code="BadRequest"))
        finally:
            self._feeding = False
        self._flush()

    def eof_received(self) -> bool:
        """A client may close its side and still read: keep ours until everything is answered."""
        self._catch_up()
        if self._current is not None or not self._pending:
            return False
        self._pending[-1].keep_alive = False
        self._ended = self._client_ended = True
        return True

    def pause_writing(self) -> None:
        self._write_paused = True
        self._pause_reading()
        self._wait_for(Phase.WRITING, self._host.timeouts.write)

    def resume_writing(self) -> None:
        self._write_paused = False
        self._resume_reading()
        if self._ended and not self._pending:
            self._wait_for(Phase.LINGER, self._host.timeouts.linger)
        self._settle()

    # The parser's side

    def _feed(self, data: bytes) -> None:
        """Parse, past every offer to change the protocol.

        Java's HttpClient offers h2c with every request. We decline, which is to answer as if nothing had been said;
        but llhttp takes it that the bytes behind the head are of the other protocol, and httptools drops the body. So
        another parser is told the head once more, without the offer, and reads on where the first one stopped.
        """
        rest = memoryview(data)
        while True:
            try:
                self._parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as stop:
                if not self._offered:  # CONNECT: what follows is not for us; its answer is the last
                    self._ended = True
                    return
                self._offered, rest = False, rest[stop.args[0] :]
            self._parser = httptools.HttpRequestParser(self)
            self._retelling = True
            self._parser.feed_data(rules.framing(self._exchange().headers))

    def on_message_begin(self) -> None:
        if self._retelling:
            return
        if self._ended:
            raise _Refused
        self._current = Exchange(self, target=b"")
        self._parts = []
        self._head_bytes = self._body_bytes = 0
        if self.phase is not Phase.HEAD:
            self._wait_for(Phase.HEAD, self._host.timeouts.head)

    def on_url(self, url: bytes) -> None:
        if self._retelling:
            return
        exchange = self._exchange()
        exchange.target += url
        if len(exchange.target) > rules.MAX_TARGET:
            self._refuse(rules.target_too_long())

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._retelling:
            return
        self._count_head(len(name) + len(value) + 4)
        if self.phase is Phase.BODY:
            return  # a trailer: counted, never obeyed
        headers = self._exchange().headers
        name = name.lower()
        if name in headers:
            if name == b"host":
                self._refuse(errors.RequestError(400, "more than one Host header", code="BadRequest"))
            value = headers[name] + b", " + value
        headers[name] = value
        if len(headers) > rules.MAX_HEADERS:
            self._refuse(rules.headers_too_large())

    def on_headers_complete(self) -> None:
        if self._retelling:
            self._retelling = False
            return
        exchange = self._exchange()
        exchange.method = self._parser.get_method()
        upgrade = self._parser.should_upgrade()
        self._offered = upgrade and exchange.method != b"CONNECT"
        exchange.keep_alive = self._parser.should_keep_alive() and (self._offered or not upgrade)
        version = self._parser.get_http_version()
        if version != "1.1":
            exchange.keep_alive = False
        headers = exchange.headers
        refusal = rules.refusal(version, headers, max_body_bytes=self._host.application.max_body_bytes)
        if refusal is not None:
            self._refuse(refusal)
        self._head_bytes = 0
        self._wait_for(Phase.BODY, self._host.timeouts.body)
        if b"expect" in headers and version == "1.1":
            self._continue_for = exchange

    def on_body(self, body: bytes) -> None:
        self._continue_for = None
        self._body_bytes += len(body)
        if self._body_bytes > self._host.application.max_body_bytes:
            self._refuse(rules.body_too_large(self._host.application.max_body_bytes))
        self._parts.append(body)

    def on_message_complete(self) -> None:
        if self._offered:
            return
        exchange, parts = self._exchange(), self._parts
        exchange.body = parts[0] if len(parts) == 1 else b"".join(parts)
        exchange.started = time.perf_counter()
        self._current, self._continue_for, self._parts = None, None, []
        if self._held:
            self._release()
        self._pending.append(exchange)
        self._arrived += 1
        self.phase = Phase.BUSY
        if not exchange.keep_alive:
            self._ended = True
        if len(self._pending) >= _MAX_PIPELINED:
            self._pause_reading()
        self._host.application.handle(exchange)

    # The application's side

    def answered(self) -> None:
        """Called by an exchange. While a chunk is being parsed the answers wait for its end."""
        exchange = self._only
        if exchange is None or exchange.response is None:
            if not self._feeding:
                self._flush()
            return
        self._only = None
        self._pending.clear()
        self.reply(*exchange.response)

    # The short way's side: `exchange.Rider`

    def reply(self, start: bytes, body: bytes) -> None:
        """What `_flush` and `_settle` come to for one request with a known head."""
        host = self._host
        if self._ended:
            return  # the client has gone
        if self._write_paused or host.retiring or host.now > self._retire_at:
            self._pending.append(Exchange(self, response=(start, body)))
            self._flush()
            return
        self.served += 1
        self.phase, self.deadline = _IDLE, host.now + host.timeouts.idle  # first: a full buffer makes it WRITING
        self._transport.write(b"%b%b\r\n%b" % (start, host.date, body))

    def exchange(self, head: Head, data: bytes, started: float) -> Exchange:
        """A request with a known head, as the application's general way wants it."""
        body = data[len(data) - head.length :]
        self._only = exchange = Exchange(self, head.target, head.method, head.headers, body, True, started)
        self._pending.append(exchange)
        return exchange

    # The listener's side

    def sweep(self) -> None:
        """Act when the deadline of the phase has passed, or when the connection is idle and too old."""
        now = self._host.now
        if self.phase is Phase.IDLE and (now > self.deadline or now > self._retire_at + _ANNOUNCE_SECONDS):
            self.close_if_idle()
        elif self.phase in (Phase.HEAD, Phase.BODY) and now > self.deadline:
            self._end_with(errors.RequestError(408, f"waited too long for {self.phase.value}", code="Timeout"))
        elif self.phase in (Phase.WRITING, Phase.LINGER) and now > self.deadline:
            self._transport.abort()

    def close_if_idle(self) -> None:
        """Close, unless a request has begun to arrive: also one that the kernel holds and we have not read."""
        if self.phase is Phase.IDLE and not _readable(self._transport):
            self._ended = True
            self._transport.close()

    def abort(self) -> None:
        """The end of patience."""
        self._transport.abort()

    # Inside

    def _exchange(self) -> Exchange:
        assert self._current is not None  # llhttp calls on_message_begin first  # noqa: S101
        return self._current

    def _catch_up(self) -> None:
        """Something else happens before the only request has its answer: bring it to the general way."""
        self._only = None
        if self.phase is _BUSY and not self._pending and self._short_way is not None:
            self._short_way.flush()

    def _wait_for(self, phase: Phase, seconds: float) -> None:
        self.phase, self.deadline = phase, self._host.now + seconds

    def _count_head(self, count: int) -> None:
        self._head_bytes += count
        if self._head_bytes > rules.MAX_HEADER_BYTES + rules.MAX_TARGET:
            self._refuse(rules.headers_too_large())

    def _hold(self, count: int) -> None:
        """A part of a body has to wait for the rest."""
        if count > self._host.room:
            self._refuse(rules.no_room())
        self._held += count
        self._host.room -= count

    def _release(self) -> None:
        self._host.room += self._held
        self._held = 0

    def _refuse(self, error: errors.RequestError) -> NoReturn:
        """From a parser callback: answer the current request with an error and stop parsing."""
        self._end_with(error)
        raise _Refused

    def _end_with(self, error: errors.RequestError) -> None:
        """Make an error the last answer of the connection."""
        exchange = self._current or Exchange(self, target=b"")
        self._current, self._continue_for, self._ended = None, None, True
        self._parts = []
        self._release()
        exchange.keep_alive = False
        self._pending.append(exchange)
        exchange.fail(error)

    def _flush(self) -> None:
        """Write every answer whose turn has come."""
        pending, out = self._pending, []
        while pending and pending[0].response is not None:
            exchange = pending.popleft()
            assert exchange.response is not None  # noqa: S101
            head, body = exchange.response
            last = not pending and self._current is None
            end = not exchange.keep_alive or (last and (self._host.retiring or self._host.now > self._retire_at))
            out += [head, self._host.date, b"Connection: close\r\n\r\n" if end else b"\r\n", body]
            self.served += 1
            if end:
                self._hang_up(out)
                return
        if self._continue_for is not None and not pending:
            self._continue_for = None
            out.append(b"HTTP/1.1 100 Continue\r\n\r\n")
        if out:
            self._transport.write(b"".join(out))
        self._settle()

    def _settle(self) -> None:
        """Find the phase after writing."""
        if self._ended or self._write_paused:
            return
        if self._current is None:
            if self._pending:
                self.phase = Phase.BUSY
            else:
                self._wait_for(Phase.IDLE, self._host.timeouts.idle)
        elif self.phase is Phase.WRITING:
            self._wait_for(Phase.BODY, self._host.timeouts.body)
        if self._read_paused and len(self._pending) < _MAX_PIPELINED:
            self._resume_reading()

    def _hang_up(self, out: list[bytes]) -> None:
        """Send the last answer, then wait for the client's end: a close with unread bytes would reset the answer."""
        self._ended = True
        self._pending.clear()
        self._transport.write(b"".join(out))
        if self._client_ended:
            self._transport.close()
            return
        self._transport.write_eof()
        if not self._write_paused:
            self._wait_for(Phase.LINGER, self._host.timeouts.linger)
            self._resume_reading()

    def _pause_reading(self) -> None:
        if not self._read_paused and not self._transport.is_closing():
            self._read_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._read_paused and not self._transport.is_closing():
            self._read_paused = False
            self._transport.resume_reading()


def _readable(transport: asyncio.Transport) -> bool:
    """Whether the kernel holds bytes (or the end) that the event loop has not delivered yet."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))
