"""gzip and deflate of bodies, in both directions. Pure.

A compressed request is bounded by the size that it has when it is unpacked, before it is. deflate means zlib framing,
as in RFC 9110 and in tritonclient.
"""

from __future__ import annotations

import functools
import zlib

from seatrial_server.host import errors
from seatrial_server.protocol.http import rules

MIN_SIZE = 1400
"""An answer that fits one packet anyway is not compressed."""
_WINDOW = {b"gzip": 31, b"deflate": 15}  # 16 added to the window's size means gzip framing
_LEVEL = 1
_MAX_HEADER = 200


def unpacked(body: bytes, coding: bytes, *, limit: int) -> bytes:
    """The body as the client meant it."""
    coding = coding.lower()
    if coding == b"identity":
        return body
    stream = zlib.decompressobj(_WINDOW[coding])
    try:
        result = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise _bad(f"the body is no {coding.decode()}: {error}") from None
    if len(result) > limit:
        raise rules.body_too_large(limit)
    if not stream.eof:
        raise _bad(f"the {coding.decode()} body ends too early")
    if stream.unused_data:
        raise _bad(f"the body goes on after its {coding.decode()} part")
    return result


def chosen(accepted: bytes) -> bytes | None:
    """The coding for an answer, from the client's Accept-Encoding; None is none."""
    return _chosen(accepted) if len(accepted) <= _MAX_HEADER else None


@functools.lru_cache(maxsize=64)
def _chosen(accepted: bytes) -> bytes | None:
    weights: dict[bytes, float] = {}
    for part in accepted.lower().split(b","):
        coding, _, parameter = part.partition(b";")
        weights[coding.strip()] = _weight(parameter.strip())
    known = [coding for coding in _WINDOW if weights.get(coding, 0) > 0]
    return max(known, key=lambda coding: weights[coding], default=None)


def _weight(parameter: bytes) -> float:
    if not parameter:
        return 1.0
    try:
        return float(parameter.removeprefix(b"q=").decode())
    except ValueError:
        return 0.0


def packed(body: bytes, coding: bytes) -> bytes:
    """The compressed body."""
    stream = zlib.compressobj(_LEVEL, wbits=_WINDOW[coding])
    return stream.compress(body) + stream.flush()


def _bad(message: str) -> errors.RequestError:
    return errors.RequestError(400, message, code="BadRequest")
