"""What `prepare` has measured and where, as data that needs no model: the report has it, and so has the card."""

from __future__ import annotations

from typing import Literal

import msgspec


class QuantizationResult(msgspec.Struct, frozen=True, rename="camel"):
    """What became of the quantization; numbers are None where nothing was measured."""

    mode: str
    outcome: Literal["Applied", "NotApplicable", "ServedOriginal", "Rejected", "Off"]
    reason: str = ""
    disagreement: float | None = None
    bound: float | None = None
    rows: int = 0
    speedup1: float | None = None
    speedup32: float | None = None


class Environment(msgspec.Struct, frozen=True, rename="camel"):
    """Where the measurements were made."""

    onnxruntime: str
    cpu_flags: tuple[str, ...]
