"""Headers of a request that is passed on, and of the answer that comes back. Pure.

What belongs to one connection stays there (RFC 9110, 7.6.1). Names of ours are never taken over from outside: a client
must not be able to say that its request was relayed. What web pages may read is said by the pod that they speak with.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

REVISION = b"seatrial-revision"
RELAYED = b"seatrial-relayed"
DEADLINE = b"seatrial-deadline-ms"
COVERED = b"seatrial-covered"
COPIED = b"seatrial-copied"
DEGRADED = b"seatrial-degraded"
DEGRADED_LINE = b"%b: true\r\n" % DEGRADED
_OURS = b"seatrial-"
_OF_ONE_HOP = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"),
        *(b"http2-settings", b"proxy-authenticate", b"proxy-authorization", b"expect"),
        *(b"content-length", b"date", b"origin"),
    )
)
_STEP_MILLISECONDS = 10


def request_head(
    method: bytes, target: bytes, given: Mapping[bytes, bytes], *, size: int, added: Mapping[bytes, bytes]
) -> bytes:
    """The head of a request as it is passed on; `given` has lower-case names."""
    lines = [b"%b %b HTTP/1.1\r\n" % (method, target), *_lines(given, keep=b"")]
    lines += [b"%b: %b\r\n" % header for header in added.items()]
    lines.append(b"content-length: %d\r\n\r\n" % size)
    return b"".join(lines)


def answer_lines(given: Mapping[bytes, bytes], revision: bytes) -> bytes:
    """The header lines of an answer as the client gets them, without length and date."""
    return b"".join([*_lines(given, keep=DEGRADED), b"%b: %b\r\n" % (REVISION, revision)])


def _lines(given: Mapping[bytes, bytes], *, keep: bytes) -> list[bytes]:
    """All but those of one hop and ours; `keep` is one of ours that stays."""
    listed = frozenset(part.strip().lower() for part in given.get(b"connection", b"").split(b","))
    return [
        b"%b: %b\r\n" % (name, value)
        for name, value in given.items()
        if name not in _OF_ONE_HOP and name not in listed and (name == keep or not name.startswith(_OURS))
    ]


def mark(revision: str, token: str) -> bytes:
    """The value that says who has relayed a request; without the token anybody could say so."""
    return f"{revision} {token}".encode()


def believed(value: bytes | None, token: str) -> bool:
    """Whether a request was relayed by a pod of this deployment."""
    return value is not None and hmac.compare_digest(value.rpartition(b" ")[2], token.encode())


def milliseconds(seconds: float) -> bytes:
    """The time that is left, in steps: heads that are equal byte for byte are read at half the cost."""
    return b"%d" % max(_STEP_MILLISECONDS, round(seconds * 1000 / _STEP_MILLISECONDS) * _STEP_MILLISECONDS)


def seconds(value: bytes | None) -> float:
    """The time that a relaying pod has left for the answer; 0 when it does not say. It can only shorten."""
    return int(value) / 1000 if value is not None and len(value) < 10 and value.isdigit() else 0.0


def sooner(one: float, other: float) -> float:
    """The earlier of two time-outs, where 0 is none."""
    return min(one, other) if one and other else one or other
