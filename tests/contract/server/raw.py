"""Requests over HTTP/1.1 as bytes, said exactly as a test wants them said."""

from __future__ import annotations

INFER = b"/v2/models/model/infer"


def get(path: bytes = b"/", *lines: bytes) -> bytes:
    """A GET; `lines` are further headers."""
    return _request(b"GET", path, lines)


def post(body: bytes, *lines: bytes, path: bytes = INFER) -> bytes:
    """A POST with a length."""
    return _request(b"POST", path, (b"Content-Length: %d" % len(body), *lines)) + body


def chunked(*parts: bytes, lines: tuple[bytes, ...] = (), path: bytes = INFER, trailer: bytes = b"") -> bytes:
    """A POST in these chunks, to its end."""
    return chunked_head(*lines, path=path) + b"".join(map(chunk, parts)) + b"0\r\n%b\r\n" % trailer


def chunked_head(*lines: bytes, path: bytes = INFER) -> bytes:
    """What comes before the chunks."""
    return _request(b"POST", path, (b"Transfer-Encoding: chunked", *lines))


def chunk(part: bytes) -> bytes:
    """One of them; an empty one would be the end."""
    return b"%x\r\n%b\r\n" % (len(part), part)


def pieces(body: bytes, size: int) -> list[bytes]:
    """The body in parts of this size."""
    return [body[start : start + size] for start in range(0, len(body), size)]


def _request(method: bytes, path: bytes, lines: tuple[bytes, ...]) -> bytes:
    return b"\r\n".join([b"%b %b HTTP/1.1" % (method, path), b"Host: test", *lines]) + b"\r\n\r\n"
