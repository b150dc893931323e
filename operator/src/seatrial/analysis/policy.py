"""What the user allows: the analysis part of the spec, as numbers.

`Policy` is what the statistics read. `decode` makes one from the spec's own texts (`"1%"`, `"100ms"`), for replay; the
operator builds it from its decoded spec. Defaults are those of the resource.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
MOST_FALSE_ROLLBACKS = 0.2  # beyond it the shares of guards and soak no longer fit under the promised rate, see verdict


class Errors(msgspec.Struct, frozen=True):
    """Errors: absolute maximum share, and tolerated excess over stable. Degraded answers use the same tolerance."""

    max: float = 0.05
    tolerance: float = 0.10


class Latency(msgspec.Struct, frozen=True):
    """At most `max` of the requests slower than `threshold` seconds; tolerated excess over stable at any edge."""

    threshold: float = 0.1
    max: float = 0.01
    tolerance: float = 0.25


class Rejections(msgspec.Struct, frozen=True):
    """Requests refused as the client's fault: tolerated excess over stable."""

    tolerance: float = 0.25


class Policy(msgspec.Struct, frozen=True):
    """Fractions (0.01 is 1 %) and seconds. `dispersion` and `spread` are measured when None."""

    false_rollback_rate: float = 0.01
    interval: float = 15.0
    errors: Errors = Errors()
    latency: Latency = Latency()
    rejections: Rejections = Rejections()
    dispersion: float | None = None
    spread: float | None = None


class _ErrorsText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    max: str = "5%"
    tolerance: str = "10%"


class _LatencyText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    threshold: str = "100ms"
    max: str = "1%"
    tolerance: str = "25%"


class _RejectionsText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tolerance: str = "25%"


class PolicyText(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`spec.analysis` as written, plus `dispersion` and `spread`. Where the samples come from does not matter here."""

    interval: str = "15s"
    false_rollback_rate: str = "1%"
    errors: _ErrorsText = _ErrorsText()
    latency: _LatencyText = _LatencyText()
    rejections: _RejectionsText = _RejectionsText()
    dispersion: Annotated[float, msgspec.Meta(ge=1)] | None = None
    spread: Annotated[float, msgspec.Meta(ge=0)] | None = None
    prometheus: Any = None
    blind_timeout: Any = None
    metrics: Any = None


def parse(text: PolicyText) -> Policy:
    """Numbers from texts.

    Raises:
        ValueError: names the field and what it must look like.
    """
    rate = percent("falseRollbackRate", text.false_rollback_rate)
    if not 0 < rate <= MOST_FALSE_ROLLBACKS:
        raise ValueError(f"falseRollbackRate must be above 0% and at most 20%, not {text.false_rollback_rate!r}")
    return Policy(
        false_rollback_rate=rate,
        interval=duration("interval", text.interval),
        errors=Errors(
            max=percent("errors.max", text.errors.max), tolerance=percent("errors.tolerance", text.errors.tolerance)
        ),
        latency=Latency(
            threshold=duration("latency.threshold", text.latency.threshold),
            max=percent("latency.max", text.latency.max),
            tolerance=percent("latency.tolerance", text.latency.tolerance),
        ),
        rejections=Rejections(tolerance=percent("rejections.tolerance", text.rejections.tolerance)),
        dispersion=text.dispersion,
        spread=text.spread,
    )


def decode(raw: bytes) -> Policy:
    """The analysis part of the spec as JSON.

    Raises:
        msgspec.ValidationError: wrong shape, with the path.
        ValueError: wrong text, with the field.
    """
    return parse(msgspec.json.decode(raw, type=PolicyText))


def percent(field: str, text: str) -> float:
    """`"0.5%"` -> 0.005. Above 100 % is allowed for tolerances."""
    found = re.fullmatch(r"([0-9]{1,4}(?:\.[0-9]{1,6})?)%", text)
    if not found:
        raise ValueError(f"{field} must be a percentage such as 5% or 0.5%, not {text!r}")
    return float(found[1]) / 100


def duration(field: str, text: str) -> float:
    """GEP-2257: `"1h30m"`, `"100ms"` -> seconds, above zero."""
    if not re.fullmatch(r"(?:[0-9]{1,5}(?:h|ms|m|s)){1,4}", text):
        raise ValueError(f"{field} must be a duration such as 15s, 100ms or 1h30m, not {text!r}")
    seconds = sum(int(number) * SECONDS[unit] for number, unit in re.findall(r"([0-9]+)(h|ms|m|s)", text))
    if seconds <= 0:
        raise ValueError(f"{field} must be longer than zero, not {text!r}")
    return seconds
