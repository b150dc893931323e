"""The trial's report as the operator reads it: the last lines of the trial's log, untrusted and bounded.

A short report is one line of JSON. Container runtimes break lines at 16 KiB, so a longer one is compressed and travels
in several: `seatrial-report 2/3 SHA256 BASE64`, where the digest is the whole JSON's. Each line names it, so the digest
of the last line, which the termination message states, vouches for all of them.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import re
import zlib
from typing import Annotated, Any

import msgspec
from msgspec import Meta

MAX_PLAIN = 256 * 1024
MAX_BYTES = (
    2 * 1024 * 1024
)  # unpacked: 800 results of declared tests with names of 200 characters, and 180 kB of ranges
TAIL_LINES = 40
"""Most lines of a report; the runtime makes as many of a line of MAX_PLAIN bytes."""
LOG_BYTES = TAIL_LINES * 17 * 1024
"""So many lines at their longest: a limit below would cut the end off, which is where the report is."""

_PART = re.compile(r"seatrial-report ([1-9]\d?)/([1-9]\d?) ([0-9a-f]{64}) ([A-Za-z0-9+/]+={0,2})")

Text = Annotated[str, Meta(max_length=4096)]
Word = Annotated[str, Meta(max_length=128)]
Rows = Annotated[int, Meta(ge=0, le=10**12)]


class Outcome(enum.StrEnum):
    PASSED = "Passed"
    REJECTED = "Rejected"


class Quantization(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of the quantization; disagreement is a share of rows, speed-ups are factors."""

    mode: Text = ""
    outcome: Text = ""
    reason: Text = ""
    disagreement: float | None = None
    bound: float | None = None
    rows: Rows = 0
    speedup1: float | None = None
    speedup32: float | None = None


class ModelTest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One model test: a share, or the figure of a metric, observed against a bound.

    `against`: `Stable` where the stable version's figure on the same rows was the measure. `outcome` is Pass, Fail or
    Skipped.
    """

    name: Text
    outcome: Text
    observed: float | None = None
    bound: float | None = None
    rows: Rows = 0
    message: Text = ""
    against: Word = ""


class Report(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Verdict of a trial, and what pods need to end with the same bytes."""

    outcome: Outcome
    reason: Text = ""
    message: Text = ""
    sha256: Word = ""
    served_sha256: Word = ""
    precision: Word = ""
    quantization: Quantization | None = None
    tests: Annotated[tuple[ModelTest, ...], Meta(max_length=1000)] = ()
    calibration: dict[str, Any] | None = None
    profile: msgspec.Raw = msgspec.Raw(b"null")  # read by whoever watches the drift: nothing else may fail for it
    evaluation: msgspec.Raw = msgspec.Raw(b"[]")  # both as the profile, by whoever watches the quality
    calibration_bins: msgspec.Raw = msgspec.Raw(b"null")
    digest: Word = ""  # of the report's own line; set by `read`


class ReportError(ValueError):
    """The trial's log holds no report that can be believed."""


def read(log: str, digest: str) -> Report:
    """The report at the end of a log, if the SHA-256 of its last line is `digest` (from the termination message).

    Raises:
        ReportError: no line, too long, another digest, not a report.
    """
    text = lines(log, digest)
    if not text:
        raise ReportError("the trial's log is empty")
    actual = digest_of(text)
    if actual != digest:
        raise ReportError("the trial's log doesn't end with the report that its termination message names")
    return decode(text, actual)


def lines(log: str, digest: str = "") -> str:
    """The report's own lines at the end of a log, which is all of it that is worth keeping.

    Args:
        digest: of its last line, where that is known: what somebody writes to standard error comes through another pipe
            than the report, and may come after it.
    """
    named = (line for line in reversed(log.split("\n")) if digest and digest_of(line) == digest)
    last = _last(next(named, log))
    found = _PART.fullmatch(last)
    if found is None:
        return last
    parts = (_PART.fullmatch(line.strip()) for line in log.split("\n"))
    return "\n".join(part[0] for part in parts if part is not None and part[3] == found[3])


def digest_of(text: str) -> str:
    """SHA-256 of the last line."""
    return hashlib.sha256(_last(text).encode(errors="replace")).hexdigest()


def decode(text: str, digest: str) -> Report:
    """A report from its lines.

    Raises:
        ReportError: too long, or not a report.
    """
    try:
        report = msgspec.json.decode(_json(lines(text)), type=Report)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ReportError(f"the trial's report can't be read: {error}") from error
    return msgspec.structs.replace(report, digest=digest)


def _last(text: str) -> str:
    return text.strip().rpartition("\n")[2].strip()  # not splitlines: JSON may hold U+2028 as it is


def _json(text: str) -> bytes:
    parts = [part for line in text.split("\n") if (part := _PART.fullmatch(line)) is not None]
    if not parts:
        plain = text.encode(errors="replace")
        if len(plain) > MAX_PLAIN:
            raise ReportError(f"the trial's report is longer than {MAX_PLAIN} bytes")
        return plain
    count = int(parts[-1][2])
    if [(int(part[1]), int(part[2])) for part in parts] != [(number + 1, count) for number in range(count)]:
        raise ReportError(f"the trial's log holds {len(parts)} of the {count} lines of its report, or not in order")
    return _unpacked("".join(part[4] for part in parts), sha256=parts[-1][3])


def _unpacked(packed: str, *, sha256: str) -> bytes:
    """Never more than the bound, whatever the sender made of it."""
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(base64.b64decode(packed, validate=True), MAX_BYTES + 1)
    except (binascii.Error, zlib.error) as error:
        raise ReportError(f"the trial's report can't be unpacked: {error}") from error
    if len(plain) > MAX_BYTES:
        raise ReportError(f"the trial's report is longer than {MAX_BYTES} bytes")
    if not stream.eof or hashlib.sha256(plain).hexdigest() != sha256:
        raise ReportError("the trial's report isn't the one that its lines name")
    return plain
