"""gzip and deflate of bodies, in both directions. Pure.

A compressed request is bounded by the size that it has when it is unpacked, before it is. deflate means zlib framing,
as in RFC 9110 and in tritonclient.
"""

from __future__ import annotations

import functools
import io
import zlib
from collections.abc import Callable

from seatrial_server.host import errors
from seatrial_server.protocol.http import rules

MIN_SIZE = 1400
"""An answer that fits one packet anyway is not compressed."""
_WINDOW = {b"gzip": 31, b"deflate": 15}  # 16 added to the window's size means gzip framing
_LEVEL = 1
_MAX_HEADER = 200
_STEP = 1024 * 1024


def unpacked(
    body: bytes, coding: bytes, *, limit: int, most: int | None = None, reserve: Callable[[int], None] = lambda _: None
) -> bytes | None:
    """The body as the client meant it; None when it has more than `most` bytes.

    `reserve` is told the bytes of each step before they take memory.
    """
    coding = coding.lower()
    if coding == b"identity":
        return body if most is None or len(body) <= most else None
    stream = zlib.decompressobj(_WINDOW[coding])
    result, rest = io.BytesIO(), body
    while True:
        step = min(_STEP, limit + 1 - result.tell(), most + 1 - result.tell() if most is not None else _STEP)
        reserve(step)
        try:
            part = stream.decompress(rest, step)
        except zlib.error as error:
            raise _bad(f"the body is no {coding.decode()}: {error}") from None
        result.write(part)
        rest = stream.unconsumed_tail
        if result.tell() > limit:
            raise rules.body_too_large(limit)
        if most is not None and result.tell() > most:
            return None
        if stream.eof:
            break
        if not rest and len(part) < step:
            raise _bad(f"the {coding.decode()} body ends too early")
    if stream.unused_data:
        raise _bad(f"the body goes on after its {coding.decode()} part")
    return result.getvalue()


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
