"""Status as it is stored, by this release or another one: what can be read is read, and what can't is named.

After a downgrade the status holds words and fields that this release doesn't know. One such word must not end the watch
over traffic that flows: an unknown word becomes the one that does least harm, a part that can't be read at all is left
out, and everything else counts. The names of what was lost are for a condition.
"""

from __future__ import annotations

import enum
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .status import ConditionStatus, Phase, Reason, Status, VerdictKind

CAUTIOUS: Final[Mapping[type[enum.Enum], enum.Enum]] = {
    ConditionStatus: ConditionStatus.UNKNOWN,
    Phase: Phase.PENDING,
    Reason: Reason.UNKNOWN,
    VerdictKind: VerdictKind.REJECTED,  # a verdict that isn't understood lets nobody in
}

_MISSING: Final = object()
_MOMENT: Final = re.compile(r"([0-9]{4})-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]+([Zz]|[+-][0-9:]+)?")
_YEARS: Final = range(1970, 2500)


def read(raw: Any) -> tuple[Status, tuple[str, ...]]:
    """The status, and the paths of what this release can't read."""
    lost: list[str] = []
    found = _read(_of_our_time(raw, "status", lost), Status, "status", lost)
    return (found if isinstance(found, Status) else Status()), tuple(lost)


def _of_our_time(raw: Any, path: str, lost: list[str]) -> Any:
    """Without moments that nothing can be added to or taken from: no deadline follows from them."""
    if isinstance(raw, Mapping):
        kept = {name: _of_our_time(value, f"{path}.{name}", lost) for name, value in raw.items()}
        return {name: value for name, value in kept.items() if value is not _MISSING}
    if isinstance(raw, list):
        kept_ = [_of_our_time(value, f"{path}[{place}]", lost) for place, value in enumerate(raw)]
        return [value for value in kept_ if value is not _MISSING]
    moment = _MOMENT.fullmatch(raw) if isinstance(raw, str) else None
    if moment is None or int(moment[1]) in _YEARS:
        return raw
    lost.append(path)
    return _MISSING


def _read(raw: Any, kind: Any, path: str, lost: list[str]) -> Any:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError:
        pass
    plain, limits = _plain(kind)
    if isinstance(plain, type) and issubclass(plain, msgspec.Struct) and isinstance(raw, Mapping):
        return _struct(raw, plain, path, lost)
    if typing.get_origin(plain) is tuple and isinstance(raw, list):
        return _items(raw, kind, path, lost)
    lost.append(path)
    if isinstance(plain, type) and issubclass(plain, enum.Enum) and isinstance(raw, str):
        return CAUTIOUS.get(plain, _MISSING)
    if plain is str and isinstance(raw, str) and limits:
        return raw[: min(limits)]
    return _MISSING


def _struct(raw: Mapping[str, Any], kind: type[msgspec.Struct], path: str, lost: list[str]) -> Any:
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.encode_name in raw:
            value = _read(raw[field.encode_name], field.type, f"{path}.{field.encode_name}", lost)
            if value is not _MISSING:
                values[field.name] = value
        if field.required and field.name not in values:
            lost.append(path)
            return _MISSING
    return kind(**values)


def _items(raw: list[Any], kind: Any, path: str, lost: list[str]) -> tuple[Any, ...]:
    plain, limits = _plain(kind)
    of = typing.get_args(plain)[0]
    read_ = (_read(one, of, f"{path}[{place}]", lost) for place, one in enumerate(raw))
    kept = tuple(one for one in read_ if one is not _MISSING)
    return kept[: min(limits)] if limits else kept


def _plain(kind: Any) -> tuple[Any, list[int]]:
    """The type without annotations and without None, and the lengths that its annotations allow."""
    limits: list[int] = []
    while True:
        if typing.get_origin(kind) is typing.Annotated:
            kind, *said = typing.get_args(kind)
            limits += [one.max_length for one in said if isinstance(one, msgspec.Meta) and one.max_length is not None]
        elif typing.get_origin(kind) in (typing.Union, types.UnionType):
            [kind] = [one for one in typing.get_args(kind) if one is not types.NoneType]
        else:
            return kind, limits
