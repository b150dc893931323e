"""HTTP on loopback: the page, and a stream of what changes. Knows GET and nothing else.

The token is a part of every path, so that no other page in the same browser can guess an address; the Host must be a
loopback one, so that no foreign name can be made to lead here; no answer may be framed, sniffed or kept.
"""

from __future__ import annotations

import http.server
import ipaddress
import secrets
from http import HTTPStatus
from importlib import resources
from urllib.parse import urlsplit

import msgspec

from seatrial.plugin.dashboard import feed

LOOPBACK = "127.0.0.1"
QUIET = 15.0  # seconds without news until a sign of life is sent
FILES = {
    "": ("index.html", "text/html; charset=utf-8"),
    "board.js": ("board.js", "text/javascript; charset=utf-8"),
    "board.css": ("board.css", "text/css; charset=utf-8"),
    "uPlot.js": ("uplot/uPlot.iife.min.js", "text/javascript; charset=utf-8"),
    "uPlot.css": ("uplot/uPlot.min.css", "text/css; charset=utf-8"),
}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Server(http.server.ThreadingHTTPServer):
    """Listens as soon as it is made; `port` 0 takes a free one."""

    daemon_threads = True

    def __init__(self, news: feed.Feed, *, port: int) -> None:
        """Raises OSError where the port is taken."""
        self.news = news
        self.token = secrets.token_urlsafe(24)
        super().__init__((LOOPBACK, port), _Handler)

    @property
    def link(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "seatrial"
    sys_version = ""
    server: Server

    def do_GET(self) -> None:
        """A file of the page, or the stream."""
        token, _, rest = urlsplit(self.path).path.lstrip("/").partition("/")
        if not _is_loopback(self.headers.get("Host", "")) or not secrets.compare_digest(
            token.encode(), self.server.token.encode()
        ):
            self._answer(HTTPStatus.FORBIDDEN, b"the link has a token, and it is another one\n", "text/plain")
        elif rest == "events":
            self._stream()
        elif rest in FILES:
            name, kind = FILES[rest]
            self._answer(HTTPStatus.OK, resources.files(__package__).joinpath("static", name).read_bytes(), kind)
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"there is no such file\n", "text/plain")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self._begin(status, kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _begin(self, status: HTTPStatus, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in HEADERS.items():
            self.send_header(name, value)

    def _stream(self) -> None:
        """Server-sent events, each the whole state; a comment when nothing changes, to notice who has gone."""
        self._begin(HTTPStatus.OK, "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        number = -1
        try:
            while not self.server.news.ended:
                number, state = self.server.news.newer(number, seconds=QUIET)
                line = b": still here" if state is None else b"data: " + msgspec.json.encode(state)
                self.wfile.write(line + b"\n\n")
                self.wfile.flush()
        except OSError:
            return  # the page was closed

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing: the paths have the token in them."""


def _is_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
