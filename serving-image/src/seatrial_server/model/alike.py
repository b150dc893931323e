"""Dimensions of several inputs that must have one size, such as the length of token ids and of their mask.

The graph's names for free dimensions are a hint only, because exporters give one name to dimensions that have nothing
to do with each other. So it is tried: the model must answer when all of a name grow together, and fail for each that
grows alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from seatrial_server.model import schema

Array = np.ndarray[Any, Any]
Feeds = dict[str, Array]
_MOST = 8
"""Names that are tried: each costs a call of the model, and two for each of its dimensions."""


def find(
    model: schema.Schema, names: Mapping[str, Sequence[str]], run: Callable[[Feeds], Any], example: Feeds | None
) -> tuple[tuple[schema.Place, ...], ...]:
    """Groups of dimensions. The rows' is not among them: it is compared wherever there is one.

    Args:
        names: by input, what the graph calls each of its dimensions; empty for one of a fixed size.
        example: rows that the model answers; without, nothing can be tried.
    """
    if example is None:
        return ()
    one = {name: array[:1] if model.axis.kind == "free" else array for name, array in example.items()}
    tied = (_tied(group, run, one, most=_most(model, group)) for group in itertools.islice(_named(model, names), _MOST))
    return tuple(group for group in tied if len(group) > 1)


def _named(model: schema.Schema, names: Mapping[str, Sequence[str]]) -> list[list[schema.Place]]:
    groups: dict[str, list[schema.Place]] = {}
    for spec in model.inputs:
        for axis, name in enumerate(names.get(spec.name, ())):
            if name and not (axis == 0 and model.axis.kind == "free"):
                groups.setdefault(name, []).append(schema.Place(spec.name, axis))
    return [group for group in groups.values() if len({place.input for place in group}) > 1]


def _most(model: schema.Schema, group: list[schema.Place]) -> float:
    """The largest size that is declared for all of the group."""
    places = {(place.input, place.axis) for place in group}
    return min((one.most for one in model.sizes if (one.input, one.axis) in places), default=math.inf)


def _tied(
    group: list[schema.Place], run: Callable[[Feeds], Any], example: Feeds, *, most: float
) -> tuple[schema.Place, ...]:
    """Those of the group that can't have a size of their own. Tried with two at least: one may fit any other."""
    sizes = {example[place.input].shape[place.axis] for place in group}
    if len(sizes) > 1 or 0 in sizes:
        return ()
    size = int(max(1, min(*sizes, most - 2)))  # so that there is room to grow
    together = _sized(example, group, size + 1)
    if not _answers(run, together):
        return ()
    return tuple(
        schema.Place(place.input, place.axis, or_one=_answers(run, _sized(together, [place], 1)))
        for place in group
        if not _answers(run, _sized(together, [place], size + 2))
    )


def _sized(example: Feeds, places: Sequence[schema.Place], size: int) -> Feeds:
    feeds = dict(example)
    for place in places:
        feeds[place.input] = feeds[place.input].take(range(size), axis=place.axis, mode="wrap")
    return feeds


def _answers(run: Callable[[Feeds], Any], feeds: Feeds) -> bool:
    try:
        run(feeds)
    except Exception:  # ONNX Runtime raises a dozen unrelated types
        return False
    return True
