"""One kept HTTP/1.1 connection to a candidate's pod: a request out, its answer in, one at a time.

Answers are read whole, because a bad one must be replaced before the client has seen a byte of it. Whatever is no
answer (garbage, too long, a second one) ends the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import httptools
import msgspec

from seatrial_server.host import budget
from seatrial_server.relay import headers

_MAX_HEAD_BYTES = 64 * 1024


class Answer(msgspec.Struct, frozen=True):
    """`headers` has lower-case names."""

    status: int
    reason: bytes
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def degraded(self) -> bool:
        """See `outcomes.Answered`."""
        return headers.DEGRADED in self.headers


class Lost(msgspec.Struct, frozen=True):
    """There will be no answer. `untouched`: not a byte of one had come; `garbage`: what came was none."""

    untouched: bool
    garbage: bool = False


Result = Answer | Lost


class Wire(asyncio.Protocol):
    """See the module. `done` is called once for each `send`; afterwards `open` says whether another may follow."""

    def __init__(self, account: budget.Budget, *, max_body_bytes: int, lost: Callable[[Wire], None]) -> None:
        self._account, self._max_body_bytes, self._lost = account, max_body_bytes, lost
        self._held = 0
        self._done: Callable[[Result], None] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._begin()
        self._transport: asyncio.Transport | None = None
        self.open = False

    def send(self, head: bytes, body: bytes, done: Callable[[Result], None]) -> None:
        """Only on an open connection without a request."""
        self._done = done
        self._begin()
        if self._transport is not None:
            self._transport.writelines((head, body))

    def abort(self) -> None:
        """Give up, without another word to anybody."""
        self._release()
        self._done, self.open = None, False
        if self._transport is not None:
            self._transport.abort()

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.open = True

    def connection_lost(self, _: Exception | None) -> None:
        self.open = False
        self._lost(self)
        self._finish(Lost(untouched=self._untouched))

    def data_received(self, data: bytes) -> None:
        if self._done is None:
            self.abort()
            return
        self._untouched = False
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):  # also what the callbacks below raise
            self._break()
        else:
            if self._complete:
                self._answered()
            elif self._received > (2 * self._max_body_bytes if self._has_head else 0) + _MAX_HEAD_BYTES:
                self._break()  # httptools keeps an unfinished line to itself, so nobody else has counted it

    # The parser's side

    def on_message_begin(self) -> None:
        if self._complete:
            raise ValueError("an answer that nobody asked for")

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._headers[name] = b"%b, %b" % (self._headers[name], value) if name in self._headers else value

    def on_headers_complete(self) -> None:
        self._has_head = True

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._max_body_bytes:
            raise ValueError("the body is too long")
        if self._body_bytes > budget.SMALL:
            more = self._body_bytes - self._held
            if not self._account.take(more):
                raise ValueError("there is no room for it")
            self._held += more
        self._parts.append(body)

    def on_message_complete(self) -> None:
        self._complete = True
        self.open = self.open and self._parser.should_keep_alive()  # unknown to llhttp afterwards

    # Inside

    def _begin(self) -> None:
        self._untouched, self._has_head, self._complete = True, False, False
        self._reason, self._headers, self._parts = b"", dict[bytes, bytes](), list[bytes]()
        self._received = self._body_bytes = 0

    def _answered(self) -> None:
        if not self.open and self._transport is not None:
            self._transport.close()
        self._finish(Answer(self._parser.get_status_code(), self._reason, self._headers, b"".join(self._parts)))

    def _release(self) -> None:
        """The answer is complete, or nobody's any more: who passes it on has an account of it."""
        self._account.give(self._held)
        self._held = 0

    def _finish(self, result: Result) -> None:
        self._release()
        done, self._done = self._done, None
        if done is not None:
            done(result)

    def _break(self) -> None:
        done = self._done
        self.abort()
        if done is not None:
            done(Lost(untouched=False, garbage=True))
