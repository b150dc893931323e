"""The trial's report, as the operator reads it from the last lines of the log. Pure.

Short reports are one line of JSON. Container runtimes break lines at 16 KiB, so longer ones are compressed, in lines
`seatrial-report 2/3 SHA256 BASE64` that all name the digest of the whole JSON.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any, Literal

import msgspec

from seatrial_server.host import errors
from seatrial_server.model import measured
from seatrial_server.model import schema as schema_
from seatrial_server.trial import columns

MAX_LINE = 15 * 1024
MAX_LINES = 40
"""As many as the operator reads."""
MAX_BYTES = 2 * 1024 * 1024
MAX_CARD = 32 * 1024
_PAYLOAD = MAX_LINE - len("seatrial-report 40/40 ") - 65
_TEXT = 4000  # the operator takes texts of 4096 characters
_LENGTHS = (_TEXT, 60, 0)


class TestResult(msgspec.Struct, frozen=True, rename="camel"):
    """One declared test; `observed` and `bound` are shares of rows, or figures of what `metric` says.

    Skipped: there was nothing to compare with.
    """

    name: str
    outcome: Literal["Pass", "Fail", "Skipped"]
    observed: float
    bound: float
    rows: int
    message: str = ""
    metric: str | msgspec.UnsetType = msgspec.UNSET
    against: str | msgspec.UnsetType = msgspec.UNSET
    """`Stable` where the stable version was the measure."""


class Evaluation(msgspec.Struct, frozen=True, rename="camel"):
    """A metric on a dataset, with one-sided 95 % limits. `baseline`: the stable version's on the same rows."""

    name: str
    metric: str
    value: float
    low: float
    high: float
    rows: int
    slice: str = ""
    baseline: float | None = None


class Calibration(msgspec.Struct, frozen=True, rename="camel"):
    """Of the holdout rows with a highest score within each tenth: how many there are, and how many were right."""

    output: str
    rows: tuple[int, ...]
    right: tuple[int, ...]


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """One JSON line. Digests and precision are empty when the trial ended before they were known."""

    outcome: Literal["Passed", "Rejected"]
    reason: errors.Reason | Literal[""]
    message: str
    sha256: str
    served_sha256: str
    precision: str
    quantization: measured.QuantizationResult
    tests: tuple[TestResult, ...]
    environment: measured.Environment
    calibration: dict[str, Any] | None = None
    profile: tuple[columns.Column, ...] = ()
    evaluation: tuple[Evaluation, ...] = ()
    calibration_bins: Calibration | None = None
    card: schema_.Card | None = None
    """model.yaml's words for people, where they are no longer than they may be: see `told`."""
    inputs: tuple[schema_.TensorSpec, ...] = ()
    outputs: tuple[schema_.TensorSpec, ...] = ()
    schema: int = 1


def told(card: schema_.Card) -> schema_.Card | None:
    """What a card says to people. None where it is longer than may be kept with every version for good."""
    words = msgspec.structs.replace(card, features=(), dimensions=(), labels=(), fallback={})
    return words if len(msgspec.json.encode(words)) <= MAX_CARD else None


def encode(report: Report) -> bytes:
    """The report's lines. A long one loses the ends of its texts, then its profile and card, never its verdict."""
    return next(lines for length in _LENGTHS if (lines := _lines(_cut(report, length))) is not None)


def digest(lines: bytes) -> str:
    """What the termination message states: SHA-256 of the last line."""
    return hashlib.sha256(lines.rpartition(b"\n")[2]).hexdigest()


def _lines(report: Report) -> bytes | None:
    plain = msgspec.json.encode(report)
    if len(plain) <= MAX_LINE:
        return plain
    packed = base64.b64encode(zlib.compress(plain, 9))
    parts = [packed[start : start + _PAYLOAD] for start in range(0, len(packed), _PAYLOAD)]
    if len(plain) > MAX_BYTES or len(parts) > MAX_LINES:
        return None
    sha256 = hashlib.sha256(plain).hexdigest().encode()
    return b"\n".join(
        b"seatrial-report %d/%d %s %s" % (number, len(parts), sha256, part) for number, part in enumerate(parts, 1)
    )


def _cut(report: Report, length: int) -> Report:
    tests = tuple(
        msgspec.structs.replace(test, name=test.name[:length], message=test.message[:length]) for test in report.tests
    )
    quantization = msgspec.structs.replace(report.quantization, reason=report.quantization.reason[:_TEXT])
    return msgspec.structs.replace(
        report,
        message=report.message[:_TEXT],
        tests=tests,
        quantization=quantization,
        profile=report.profile if length else (),
        evaluation=report.evaluation if length else (),
        card=report.card if length else None,
    )
