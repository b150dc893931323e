"""One request and the place for its answer.

An application reads the request side and calls `answer` exactly once, at once or later. The connection puts answers
on the wire in request order.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import orjson

from seatrial_server.host import budget, errors

JSON = b"application/json"
BINARY = b"application/octet-stream"
REASONS = {
    200: b"OK",
    202: b"Accepted",
    400: b"Bad Request",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    411: b"Length Required",
    413: b"Content Too Large",
    414: b"URI Too Long",
    415: b"Unsupported Media Type",
    417: b"Expectation Failed",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
}
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
OK_BINARY = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n"
    b"Inference-Header-Content-Length: %d\r\n"
)
"""Heads of the usual answers, without Date and the empty line."""


class Head(msgspec.Struct, frozen=True):
    """What all heads of one shape say, see `heads`."""

    match: Callable[[bytes], re.Match[bytes] | None]
    """Whether bytes begin with such a head; the match ends where the body begins."""
    method: bytes
    target: bytes
    length_at: int
    """The group with the length of the body."""
    id_at: int
    """The group with the client's request id; 0 without one."""
    json_part: int | None
    """None unless the short way may take the request; the bytes of its JSON part, 0 when all of it is JSON."""
    copy: bool = False
    """The request is a pod's copy of one that was answered elsewhere: nobody gets the answer."""
    starts: dict[int, bytes] = {}
    """Heads of this shape as they came lately, by the length of the whole request: clients repeat them to the byte."""


class Sink(Protocol):
    """Where an answered exchange reports: its connection."""

    def answered(self, exchange: Exchange) -> None:
        """This exchange of the connection has its answer now."""


class Exchange(msgspec.Struct, eq=False):
    """`target` is the raw request target; `headers` has lower-case names; `response` is None until answered.

    A Struct because it is made for every request, and a Struct's constructor is C.
    """

    sink: Sink
    target: bytes = b""
    method: bytes = b""
    headers: dict[bytes, bytes] = {}
    body: bytes = b""
    keep_alive: bool = True
    started: float = 0.0
    response: tuple[bytes, bytes] | None = None
    stands_in: Callable[[bool], None] | None = None
    """Told whether the answer is a good one, when it is given in the place of another revision's."""
    relayed: bool = False
    """Another revision is to answer; until it has, the body is kept."""
    copied: bool = False
    """Another revision gets a copy once this one has answered; until then, the body is kept."""
    foreign: bool = False
    """The answer is another server's and names it."""
    charged: int = 0
    """Bytes of the budget that the answer has."""
    lines: bytes = b""
    """Header lines that its answer has, whatever it is."""

    def answer(self, status: int, body: bytes, *, content_type: bytes = JSON, headers: bytes = b"") -> None:
        """Give the answer; `headers` are complete lines, each with its line end."""
        if status == 200 and content_type is JSON and not headers and not self.lines and self.method == b"POST":
            self.response = OK % len(body), body
            self.sink.answered(self)
            return
        self.response = (
            b"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s"
            % (status, REASONS[status], content_type, len(body), headers + self.lines),
            b"" if self.method == b"HEAD" else body,
        )
        self.sink.answered(self)

    def answer_json(self, document: Any, *, status: int = 200, headers: bytes = b"") -> None:
        """Answer with a JSON document."""
        self.answer(status, orjson.dumps(document), headers=headers)

    def fail(self, error: errors.RequestError) -> None:
        """Answer with V2's error object; machine-readable detail sits beside the text."""
        self.answer_json(
            {"error": str(error), "code": error.code, **error.details}, status=error.status, headers=error.headers
        )

    def relay(self, start: bytes, body: bytes) -> None:
        """Give another server's answer: its status line and headers without length and date."""
        self.foreign = True
        self.response = b"%b%bContent-Length: %d\r\n" % (start, self.lines, len(body)), body
        self.sink.answered(self)

    def release(self, account: budget.Budget) -> None:
        """Nobody waits for the answer any more."""
        if self.charged:
            account.give(self.charged)
            self.charged = 0


class Rider(Protocol):
    """Who waits at the end of the short way: a connection on which nothing else goes on."""

    def reply(self, answer: bytes) -> None:
        """The answer, head and body, as it goes on the wire."""

    def exchange(self, head: Head, data: bytes, begin: int, started: float) -> Exchange:
        """Take the request back, to be answered the general way. `data` is all of it, its body begins at `begin`."""

    def abort(self) -> None:
        """There will be no answer."""


Ride = tuple[Rider, Head, bytes, int, bytes]
"""A request on the short way: all of it, where its body begins, and the id that JSON takes as it is, or empty.

A tuple because nothing is cheaper to make and to take apart, and the short way does little else per request.
"""


class ShortWay(Protocol):
    """See `express`."""

    def json_part(self, exchange: Exchange) -> int | None:
        """See `Head.json_part`."""

    def take(self, ride: Ride) -> None:
        """The rider is answered at the end of the loop's turn, or now."""

    def flush(self) -> None:
        """Answer everything that waits, now."""

    def renew(self, lines: bytes) -> None:
        """The header lines that every answer ends its head with from now on."""


class Application(Protocol):
    """What a listener serves."""

    max_body_bytes: int

    def handle(self, exchange: Exchange) -> None:
        """Answer the exchange, now or later; must not raise."""

    def refused(self, exchange: Exchange, error: errors.RequestError) -> None:
        """The port answers for itself: nothing is to be done but to count it. The request may be anything, or none."""

    def turned_away(self) -> None:
        """To be counted as well: a connection too many."""
