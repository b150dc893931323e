"""One request and the place for its answer.

An application reads the request side and calls `answer` exactly once, at once or later. The connection puts answers
on the wire in request order.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
import orjson

from seatrial_server import errors

JSON = b"application/json"
REASONS = {
    200: b"OK",
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


_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"


class Sink(Protocol):
    """Where an answered exchange reports: its connection."""

    def answered(self) -> None:
        """Some exchange of this connection has its answer now."""


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

    def answer(self, status: int, body: bytes, *, content_type: bytes = JSON, headers: bytes = b"") -> None:
        """Give the answer; `headers` are complete lines, each with its line end."""
        if status == 200 and content_type is JSON and not headers and self.method == b"POST":
            self.response = _OK % len(body), body
            self.sink.answered()
            return
        self.response = (
            b"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s"
            % (status, REASONS[status], content_type, len(body), headers),
            b"" if self.method == b"HEAD" else body,
        )
        self.sink.answered()

    def answer_json(self, document: Any, *, status: int = 200, headers: bytes = b"") -> None:
        """Answer with a JSON document."""
        self.answer(status, orjson.dumps(document), headers=headers)

    def fail(self, error: errors.RequestError) -> None:
        """Answer with V2's error object; machine-readable detail sits beside the text."""
        self.answer_json(
            {"error": str(error), "code": error.code, **error.details}, status=error.status, headers=error.headers
        )


class Application(Protocol):
    """What a listener serves."""

    max_body_bytes: int

    def handle(self, exchange: Exchange) -> None:
        """Answer the exchange, now or later; must not raise."""
