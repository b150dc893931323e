"""The reading half of a connection: bytes in, whole requests out.

Parsing is llhttp's (httptools); this module owns the limits of a request, its body's place in memory, and how long it
may take to arrive. It knows nothing of answers. A refusal ends reading for good: nothing behind it can be trusted to be
a request.
"""

from __future__ import annotations

import enum
import io
import time
from collections.abc import Callable
from typing import NoReturn, Protocol

import httptools

from seatrial_server.host import budget, errors
from seatrial_server.protocol.http import rules
from seatrial_server.protocol.http.exchange import Exchange, Sink
from seatrial_server.protocol.http.limits import Timeouts


class Stage(enum.Enum):
    """What has arrived of the next request."""

    NOTHING = "nothing"
    HEAD = "the rest of the head"
    BODY = "the rest of the body"


class Host(Protocol):
    """What a reader needs from its listener; `now` is a coarse clock."""

    timeouts: Timeouts
    now: float
    budget: budget.Budget
    max_body_bytes: int

    def make_room(self, count: int) -> bool:
        """Take so many bytes of the budget, where needed from bodies that have stalled."""


class _Refused(Exception):
    """Ends parsing; `error` is the answer, if one is due."""

    def __init__(self, error: errors.RequestError | None) -> None:
        super().__init__()
        self.error = error


class Reader:
    """See the module. `take` gets each whole request, while the chunk that ends it is being parsed."""

    def __init__(self, host: Host, *, sink: Sink, take: Callable[[Exchange], None]) -> None:
        self._host, self._sink, self._take = host, sink, take
        self._parser = httptools.HttpRequestParser(self)
        self.stage = Stage.NOTHING
        self.ended = False
        """Nothing more is read: the last request has been seen."""
        self.expected_to_continue = False
        self.deadline = self.last = 0.0
        """When the next look at progress is due; when a part of the body came last."""
        self.held = 0
        """Bytes of the budget that the unfinished body has."""
        self._current: Exchange | None = None
        self._offered = self._retelling = False  # see `_parse`
        self._head_bytes = self._chunk_bytes = 0
        self._first, self._more = b"", io.BytesIO()
        self._size = self._progress = 0

    def feed(self, data: bytes) -> errors.RequestError | None:
        """Parse a chunk; returns the error that must be the connection's last answer."""
        stage, size, before = self.stage, self._size, self._current
        try:
            self._parse(data)
            if before is not None and self._current is before:
                self._account(stage, len(data), grown=self._size != size)
            self._hold()
        except httptools.HttpParserCallbackError as error:
            refused = error.__context__
            if not isinstance(refused, _Refused):
                raise
            return refused.error
        except _Refused as refused:
            return refused.error
        except httptools.HttpParserError as error:
            if not self.ended:
                return errors.RequestError(400, f"malformed HTTP: {error}", code="BadRequest")
        return None

    def abandon(self) -> Exchange:
        """Stop reading for good; the request that has begun to arrive, to be answered with an error."""
        exchange = self._current or Exchange(self._sink)
        self.ended, self.stage, self._current = True, Stage.NOTHING, None
        self.expected_to_continue = False
        self._forget()
        return exchange

    def resume(self) -> None:
        """Reading was paused by us, and is no more: the client's time starts anew."""
        self._wait(self._host.timeouts.head if self.stage is Stage.HEAD else self._host.timeouts.body)

    def overdue(self, now: float) -> bool:
        """Whether the client is too slow."""
        timeouts = self._host.timeouts
        if self.stage is Stage.NOTHING or now <= self.deadline:
            return False
        if self.stage is Stage.BODY and self._progress >= timeouts.slowest * timeouts.body:
            self._wait(timeouts.body)
            return False
        return True

    # The parser's side

    def _parse(self, data: bytes) -> None:
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
                    self.ended = True
                    return
                self._offered, rest = False, rest[stop.args[0] :]
            self._parser = httptools.HttpRequestParser(self)
            self._retelling = True
            self._parser.feed_data(rules.framing(self._exchange().headers))

    def on_message_begin(self) -> None:
        if self._retelling:
            return
        if self.ended:
            raise _Refused(None)
        self._current = Exchange(self._sink)
        self.stage = Stage.HEAD
        self._head_bytes = self._chunk_bytes = 0
        self._wait(self._host.timeouts.head)

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
        self._head_bytes += len(name) + len(value) + 4
        self._bound_head()
        if self.stage is Stage.BODY:
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
        version = self._parser.get_http_version()
        exchange.keep_alive = version == "1.1" and self._parser.should_keep_alive() and (self._offered or not upgrade)
        headers = exchange.headers
        refusal = rules.refusal(version, headers, max_body_bytes=self._host.max_body_bytes)
        if refusal is not None:
            self._refuse(refusal)
        self.stage = Stage.BODY
        self._head_bytes = self._chunk_bytes = 0
        self._wait(self._host.timeouts.body)
        self.expected_to_continue = b"expect" in headers and version == "1.1"

    def on_body(self, body: bytes) -> None:
        self.expected_to_continue = False
        if self._size:
            if self._first:  # most bodies arrive in one piece, which needs no copy
                self._more.write(self._first)
                self._first = b""
            self._more.write(body)
        else:
            self._first = body
        self._size += len(body)
        if self._size > self._host.max_body_bytes:
            self._refuse(rules.body_too_large(self._host.max_body_bytes))

    def on_message_complete(self) -> None:
        if self._offered:
            return
        exchange = self._exchange()
        exchange.body = self._first or self._more.getvalue()
        exchange.started = time.perf_counter()
        self.stage, self._current, self.expected_to_continue = Stage.NOTHING, None, False
        if self._size:
            self._forget()
        if not exchange.keep_alive:
            self.ended = True
        self._take(exchange)

    # Inside

    def _exchange(self) -> Exchange:
        assert self._current is not None  # llhttp calls on_message_begin first  # noqa: S101
        return self._current

    def _wait(self, seconds: float) -> None:
        self.last = self._host.now
        self.deadline, self._progress = self.last + seconds, 0

    def _account(self, stage: Stage, count: int, *, grown: bool) -> None:
        """A whole chunk belonged to one request: to its head, its body, or to neither (trailers, chunk extensions)."""
        self._progress += count
        self.last = self._host.now
        if stage is self.stage and not grown:
            # httptools keeps an unfinished line to itself, so nobody has counted it yet.
            self._chunk_bytes += count
            self._bound_head()

    def _bound_head(self) -> None:
        if max(self._head_bytes, self._chunk_bytes) > rules.MAX_HEADER_BYTES + rules.MAX_TARGET:
            self._refuse(rules.headers_too_large())

    def _hold(self) -> None:
        """A part of a body has to wait for the rest."""
        more = self._size - self.held
        if self._size > budget.SMALL and more > 0:
            if not self._host.make_room(more):
                self._refuse(rules.no_room())
            self.held += more

    def _forget(self) -> None:
        if self.held:
            self._host.budget.give(self.held)
        if self._size and not self._first:
            self._more = io.BytesIO()
        self.held, self._size, self._first = 0, 0, b""

    def _refuse(self, error: errors.RequestError) -> NoReturn:
        raise _Refused(error)
