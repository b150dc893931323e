"""The trial's report, as the operator reads it from the last line of the log. Pure."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from seatrial_server.host import errors
from seatrial_server.model import manifest

MAX_BYTES = 256 * 1024


class TestResult(msgspec.Struct, frozen=True, rename="camel"):
    """One declared test; `observed` and `bound` are shares of rows."""

    name: str
    outcome: Literal["Pass", "Fail"]
    observed: float
    bound: float
    rows: int
    message: str = ""


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """One JSON line. Digests and precision are empty when the trial ended before they were known."""

    outcome: Literal["Passed", "Rejected"]
    reason: Literal["", "DigestMismatch", "FetchRefused", "InvalidModel", "QuantizationRejected", "TestFailed"]
    message: str
    sha256: str
    served_sha256: str
    precision: str
    quantization: manifest.QuantizationResult
    tests: tuple[TestResult, ...]
    environment: manifest.Environment
    calibration: dict[str, Any] | None = None
    schema: int = 1


def encode(report: Report) -> bytes:
    """The line's bytes; bounded, because the operator reads no more."""
    line = msgspec.json.encode(report)
    if len(line) > MAX_BYTES:
        raise errors.Unavailable(f"the report has {len(line)} bytes, at most {MAX_BYTES} are read: declare fewer tests")
    return line
