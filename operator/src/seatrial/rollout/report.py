"""The trial's report as the operator reads it: the last line of the trial's log, untrusted and bounded."""

from __future__ import annotations

import enum
import hashlib
from typing import Annotated, Any

import msgspec
from msgspec import Meta

MAX_BYTES = 256 * 1024

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
    """One model test: a share observed against a bound."""

    name: Text
    outcome: Text
    observed: float | None = None
    bound: float | None = None
    rows: Rows = 0
    message: Text = ""


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
    digest: Word = ""  # of the report's own line; set by `read`


class ReportError(ValueError):
    """The trial's log holds no report that can be believed."""


def read(log: str, digest: str) -> Report:
    """The report in the last line of a log, if its SHA-256 is `digest` (from the termination message).

    Raises:
        ReportError: no line, too long, another digest, not a report.
    """
    line = log.strip().rpartition("\n")[2].strip()  # not splitlines: JSON may hold U+2028 as it is
    if not line:
        raise ReportError("the trial's log is empty")
    actual = digest_of(line)
    if actual != digest:
        raise ReportError("the trial's log doesn't end with the report that its termination message names")
    return decode(line, actual)


def digest_of(line: str) -> str:
    return hashlib.sha256(line.encode(errors="replace")).hexdigest()


def decode(line: str, digest: str) -> Report:
    """A report from its JSON.

    Raises:
        ReportError: too long, or not a report.
    """
    if len(line.encode(errors="replace")) > MAX_BYTES:
        raise ReportError(f"the trial's report is longer than {MAX_BYTES} bytes")
    try:
        report = msgspec.json.decode(line, type=Report)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ReportError(f"the trial's report can't be read: {error}") from error
    return msgspec.structs.replace(report, digest=digest)
