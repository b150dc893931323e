"""The elements of a tensor in JSON: flat or nested as its shape says, each of its datatype's type. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from seatrial_server.model import datatypes, schema
from seatrial_server.protocol import signature

_ELEMENTS: dict[type, frozenset[type]] = {
    bool: frozenset({bool}),
    int: frozenset({int}),
    float: frozenset({int, float}),
    str: frozenset({str}),
}


def flattened(name: str, shape: Sequence[int], data: Any) -> list[Any]:
    """Row-major elements of flat or fully nested data."""
    if not isinstance(data, list):
        raise signature.bad_input(name, "must have an array as data")
    level: list[Any] = data
    if not level or not isinstance(level[0], list):
        return level
    for axis, size in enumerate(shape):
        parts = [level] if axis == 0 else level
        if any(not isinstance(part, list) or len(part) != size for part in parts):
            raise signature.bad_input(name, f"has nested data that does not fit its shape {list(shape)}")
        level = parts[0] if axis == 0 else list(itertools.chain.from_iterable(parts))
    return level


def check(spec: schema.TensorSpec, data: list[Any], first: int = 0, *, nullable: bool) -> None:
    """Every element must be of the right type; `first` is the place of the first one in the whole tensor."""
    element = datatypes.BY_NAME[spec.datatype].element
    if element is None:
        raise signature.bad_input(spec.name, f"is {spec.datatype}, which JSON cannot carry: send it as a binary tensor")
    allowed = _ELEMENTS[element] | {type(None)} if nullable else _ELEMENTS[element]
    if not set(map(type, data)) <= allowed:
        place = next(index for index, value in enumerate(data) if type(value) not in allowed)
        found = "null" if data[place] is None else type(data[place]).__name__
        raise signature.bad_input(
            spec.name, f"has a {found} at position {first + place}, every element must be {spec.datatype}"
        )
