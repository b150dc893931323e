"""Values as users write them: durations (`1h30m`), ratios (`2%`), quantities (`500m`, `2`) and how they are parsed.

All are subclasses of what the inside works with, so that nothing has to be unpacked: a Duration is a timedelta, a
Ratio is a float (2% is 0.02), the others are text. Where a whole number can mean only one thing (`cpu: 2`,
`version: 7`) it needs no quotes, as in every pod template; floats don't exist in the resource.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self

DURATION_PATTERN = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
RATIO_PATTERN = r"^[0-9]{1,4}(\.[0-9]{1,6})?%$"

_PART = re.compile(r"(\d+)(h|ms|m|s)")
_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


class Duration(timedelta):
    """A span of time in GEP-2257 form: whole hours, minutes, seconds, milliseconds, at most four parts (`1h30m`)."""

    PATTERN: ClassVar[str] = DURATION_PATTERN
    FORM: ClassVar[str] = "a duration like 30s, 5m or 1h30m"

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Raises ValueError for anything but GEP-2257."""
        if not re.fullmatch(DURATION_PATTERN, text):  # match would let a final line break pass
            raise ValueError(f"must be {cls.FORM}, not {text!r}")
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

    PATTERN: ClassVar[str] = RATIO_PATTERN
    FORM: ClassVar[str] = "a percentage like 2% or 0.5%"

    @classmethod
    def parse(cls, text: str) -> Ratio:
        """Raises ValueError for anything but a percentage."""
        if not re.fullmatch(RATIO_PATTERN, text):
            raise ValueError(f"must be {cls.FORM}, not {text!r}")
        return cls(float(text[:-1]) / 100)

    def __str__(self) -> str:
        return f"{float(self) * 100:.6f}".rstrip("0").rstrip(".") + "%"


class Word(str):
    """Text of a fixed form that may be written as a whole number as well; both are the same value."""

    PATTERN: ClassVar[str]
    MAX_LENGTH: ClassVar[int]
    MAX_NUMBER: ClassVar[int] = 10**12 - 1
    FORM: ClassVar[str]

    @classmethod
    def parse(cls, value: str | int) -> Self:
        """Raises ValueError for anything but this form."""
        text = str(value)
        if isinstance(value, bool) or len(text) > cls.MAX_LENGTH or not re.fullmatch(cls.PATTERN, text):
            raise ValueError(f"must be {cls.FORM}, not {value!r}")
        return cls(text)


class Size(Word):
    """Bytes as a Kubernetes quantity."""

    PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,6})?(k|M|G|T|Ki|Mi|Gi|Ti)?$"
    MAX_LENGTH = 24
    FORM = "a size in bytes like 64Mi or 1G"


class Number(Word):
    """A number, as text: no float is ever rounded on its way."""

    PATTERN = r"^-?[0-9]{1,12}(\.[0-9]{1,9})?$"
    MAX_LENGTH = 24
    FORM = "a number like 0.2"


class Quantity(Word):
    """CPU or memory as a Kubernetes quantity."""

    PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,6})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
    MAX_LENGTH = 24
    FORM = "a quantity like 500m, 2 or 512Mi"


class Label(Word):
    """A label for people, of the form of a Kubernetes label's value."""

    PATTERN = r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
    MAX_LENGTH = 63
    FORM = "letters, digits, hyphens, dots and underscores, at most 63"


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
    if issubclass(kind, Word):
        if not isinstance(value, str | int):
            raise ValueError(f"must be text or a whole number, not {type(value).__name__}")
        return kind.parse(value)
    raise NotImplementedError(kind)


def encode_hook(value: Any) -> Any:
    """For msgspec: writes our own value types as users write them."""
    if isinstance(value, Duration | Ratio | Word):
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
        raise ValueError(f"must be {Size.FORM}, not {text!r}")
    return int(float(parts[1]) * _SUFFIX[parts[2] or ""])


def seconds(text: str) -> Duration:
    return Duration.parse(text)


def percent(text: str) -> Ratio:
    return Ratio.parse(text)
