"""What clients send back: `{"feedback": [{"token", "row", "label", "events", "value"}]}`. Pure.

The document is refused as a whole only if it is none, or too long; each entry is read and refused by itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from seatrial_server.host import errors
from seatrial_server.observe import cohorts

MOST = 1000
MOST_BYTES = 1024 * 1024
_NOTHING: Any = msgspec.UNSET


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """About one row of an answer; `value` is what it brought."""

    token: Annotated[str, msgspec.Meta(max_length=400)]
    row: Annotated[int, msgspec.Meta(ge=0)] = 0
    label: Any = _NOTHING
    events: Annotated[tuple[str, ...], msgspec.Meta(max_length=8)] = ()
    value: float | None = None

    @property
    def labelled(self) -> bool:
        """Whether it says what was right; null says nothing."""
        return self.label is not msgspec.UNSET and self.label is not None


class Refused(Exception):
    """An entry does not count; the text says why."""

    def __init__(self, reason: cohorts.Reason, message: str) -> None:
        super().__init__(message)
        self.reason: cohorts.Reason = reason


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    feedback: list[Any]


def read(body: bytes) -> Iterator[Entry | Refused]:
    """One for each entry, in order; raises `RequestError` for what is no such document."""
    if len(body) > MOST_BYTES:
        raise errors.RequestError(413, f"feedback exceeds {MOST_BYTES} bytes: send it in parts", code="TooLarge")
    try:
        document = msgspec.convert(_parsed(body), _Document)
    except (ValueError, RecursionError) as error:
        raise errors.RequestError(400, f"the body is no feedback: {error}", code="InvalidRequest") from None
    count = len(document.feedback)
    if count > MOST:
        raise errors.RequestError(
            413, f"{count} entries, at most {MOST} may come at once: send them in parts", code="TooLarge"
        )
    return map(_entry, document.feedback)


def _parsed(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        # Python's own encoder writes NaN, which JSON does not know: its entry is refused, and not all the others.
        return json.loads(body)


def _entry(given: Any) -> Entry | Refused:
    try:
        entry = msgspec.convert(given, Entry)
    except msgspec.ValidationError as error:
        return Refused("BadEntry", str(error))
    if entry.value is not None and not (math.isfinite(entry.value) and entry.value >= 0):
        return Refused("BadEntry", "value must be a finite number that is not negative")
    if not entry.labelled and not entry.events and entry.value is None:
        return Refused("BadEntry", "one of label, events and value is needed")
    return entry
