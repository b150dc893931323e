"""Which requests are refused before their body is read. Pure: an ordered list of small checks.

llhttp (inside httptools) already refuses what makes request smuggling possible: Content-Length together with
Transfer-Encoding, duplicate or malformed lengths, bare line feeds, folded headers. A contract test holds it to that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from seatrial_server.host import errors

MAX_TARGET = 8 * 1024
MAX_HEADER_BYTES = 32 * 1024
MAX_HEADERS = 100
CODINGS = frozenset({b"identity", b"gzip", b"deflate"})

Headers = Mapping[bytes, bytes]
Check = Callable[[str, Headers, int], errors.RequestError | None]


def refusal(version: str, headers: Headers, *, max_body_bytes: int) -> errors.RequestError | None:
    """The first rule that the request's head breaks, if any."""
    for check in _CHECKS:
        error = check(version, headers, max_body_bytes)
        if error is not None:
            return error
    return None


def framing(headers: Headers) -> bytes:
    """A head that says where a body ends as these headers do, and nothing else."""
    names = (b"content-length", b"transfer-encoding")
    lines = [b"%b: %b\r\n" % (name, headers[name]) for name in names if name in headers]
    return b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(lines)


def _host(version: str, headers: Headers, _: int) -> errors.RequestError | None:
    if version == "1.1" and b"host" not in headers:
        return errors.RequestError(400, "the Host header is missing", code="BadRequest")
    return None


def _transfer_encoding(version: str, headers: Headers, _: int) -> errors.RequestError | None:
    coding = headers.get(b"transfer-encoding")
    if coding is None:
        return None
    if version != "1.1":
        return errors.RequestError(400, "Transfer-Encoding needs HTTP/1.1", code="BadRequest")
    if coding.lower() != b"chunked":
        return errors.RequestError(501, "the only supported Transfer-Encoding is chunked", code="NotImplemented")
    return None


def _content_encoding(_: str, headers: Headers, __: int) -> errors.RequestError | None:
    if headers.get(b"content-encoding", b"identity").lower() not in CODINGS:
        return errors.RequestError(
            415,
            "Content-Encoding must be gzip or deflate",
            code="UnsupportedEncoding",
            headers=b"Accept-Encoding: gzip, deflate\r\n",
        )
    return None


def _expect(_: str, headers: Headers, __: int) -> errors.RequestError | None:
    if headers.get(b"expect", b"100-continue").lower() != b"100-continue":
        return errors.RequestError(417, "the only supported Expect is 100-continue", code="BadRequest")
    return None


def _length(_: str, headers: Headers, max_body_bytes: int) -> errors.RequestError | None:
    if int(headers.get(b"content-length", b"0")) > max_body_bytes:
        return body_too_large(max_body_bytes)
    return None


_CHECKS: tuple[Check, ...] = (_host, _transfer_encoding, _content_encoding, _expect, _length)


def body_too_large(max_body_bytes: int) -> errors.RequestError:
    """The body, announced or counted, exceeds the limit."""
    return errors.RequestError(413, f"the body exceeds {max_body_bytes} bytes", code="TooLarge")


def no_room() -> errors.RequestError:
    """Everything that is buffered takes as much memory as it may."""
    return errors.RequestError(
        503, "too many large requests at once", code="Overloaded", outcome="shed", headers=b"Retry-After: 1\r\n"
    )


def never_room(count: int, size: int) -> errors.RequestError:
    """Even alone it would take more than everything may."""
    return errors.RequestError(
        413,
        f"this would take {count // 1024**2} MiB of memory, all requests together may take {size // 1024**2}: "
        "send or ask for fewer rows, or use binary tensors",
        code="TooLarge",
    )


def headers_too_large() -> errors.RequestError:
    """Too many header bytes or fields."""
    return errors.RequestError(431, f"headers exceed {MAX_HEADER_BYTES} bytes or {MAX_HEADERS} fields", code="TooLarge")


def target_too_long() -> errors.RequestError:
    """The request target exceeds its bound."""
    return errors.RequestError(414, f"the request target exceeds {MAX_TARGET} bytes", code="TooLarge")
