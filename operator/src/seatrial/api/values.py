"""Values as users write them: durations (`1h30m`), ratios (`2%`) and how they are parsed, once, at the edge.

Both are subclasses of what the inside works with, so that nothing has to be unpacked: a Duration is a timedelta,
a Ratio is a float (2% is 0.02). Floats and bare numbers don't exist in the resource.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

DURATION_PATTERN = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
RATIO_PATTERN = r"^[0-9]{1,4}(\.[0-9]{1,6})?%$"

_PART = re.compile(r"(\d+)(h|ms|m|s)")
_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


class Duration(timedelta):
    """A span of time in GEP-2257 form: whole hours, minutes, seconds, milliseconds, at most four parts (`1h30m`)."""

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Raises ValueError for anything but GEP-2257."""
        if not re.fullmatch(DURATION_PATTERN, text):  # match would let a final line break pass
            raise ValueError(f"must be a duration like 30s, 5m or 1h30m, not {text!r}")
        return cls(milliseconds=sum(int(count) * _MILLISECONDS[unit] for count, unit in _PART.findall(text)))

    @classmethod
    def of(cls, span: timedelta) -> Duration:
        """The same span, to be written in this form."""
        return cls(seconds=span.total_seconds())

    def __str__(self) -> str:
        rest, parts = round(self.total_seconds() * 1000), []
        for unit, size in _MILLISECONDS.items():
            count, rest = divmod(rest, size)
            if count:
                parts.append(f"{count}{unit}")
        return "".join(parts) or "0s"


class Ratio(float):
    """A part of a whole, written as a percentage: `0.5%` is 0.005."""

    @classmethod
    def parse(cls, text: str) -> Ratio:
        """Raises ValueError for anything but a percentage."""
        if not re.fullmatch(RATIO_PATTERN, text):
            raise ValueError(f"must be a percentage like 2% or 0.5%, not {text!r}")
        return cls(float(text[:-1]) / 100)

    def __str__(self) -> str:
        return f"{float(self) * 100:.6f}".rstrip("0").rstrip(".") + "%"


def decode_hook(kind: type, value: Any) -> Any:
    """For msgspec: parses our own value types.

    Raises:
        ValueError: the text isn't such a value; msgspec adds the field's path.
        NotImplementedError: the type isn't ours.
    """
    if kind in (Duration, Ratio):
        if not isinstance(value, str):
            raise ValueError(f"must be text, not {type(value).__name__}")
        return kind.parse(value)
    raise NotImplementedError(kind)


def encode_hook(value: Any) -> Any:
    """For msgspec: writes our own value types as users write them."""
    if isinstance(value, Duration | Ratio):
        return str(value)
    raise NotImplementedError(type(value))


def whole_seconds(moment: datetime) -> datetime:
    """The resolution of Kubernetes' own time stamps."""
    return moment.astimezone(UTC).replace(microsecond=0)


def milliseconds(moment: datetime) -> datetime:
    """The resolution of our time stamps."""
    return moment.astimezone(UTC).replace(microsecond=moment.microsecond // 1000 * 1000)


_SUFFIX = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def quantity(text: str) -> int:
    """A Kubernetes quantity of bytes as a whole number. Raises ValueError when it isn't one."""
    parts = re.match(r"^([0-9]+(?:\.[0-9]+)?)(k|M|G|T|Ki|Mi|Gi|Ti)?$", text)
    if parts is None:
        raise ValueError(f"must be a size in bytes like 64Mi or 1G, not {text!r}")
    return int(float(parts[1]) * _SUFFIX[parts[2] or ""])
