"""What somebody with `kubectl edit` may do to a document: other values in any places of it."""

from __future__ import annotations

import contextlib
import copy
import functools
import operator
from collections.abc import Iterable, Iterator
from typing import Any

Place = tuple[Any, ...]


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """Where something stands in a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in inside:
        yield (*here, name)
        yield from places(member, (*here, name))


def made(document: Any, edits: Iterable[tuple[Place, Any]]) -> Any:
    """The document with the edits that still have a place. Each value is one of its own: no edit changes another's."""
    edited = copy.deepcopy(document)
    for (*way, last), value in edits:
        with contextlib.suppress(KeyError, IndexError, TypeError):
            functools.reduce(operator.getitem, way, edited)[last] = copy.deepcopy(value)
    return edited
