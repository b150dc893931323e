"""Sizes of free dimensions as `model.yaml` declares them: of sequences, images, candidates. Pure.

The graph says that a dimension is free, not what the model can take: a table of 512 positions fails on 513 words. Who
knows it declares it, and a request with another size is the client's mistake instead of the model's. Checks the
declaration against the graph, once, in the trial; `protocol.signature` holds requests against it.
"""

from __future__ import annotations

import msgspec

from seatrial_server.host import errors
from seatrial_server.model import schema


def settled(declared: tuple[schema.Dimension, ...], model: schema.Schema) -> tuple[schema.Dimension, ...]:
    """The declared dimensions, each with the name of its input; refuses what does not fit the graph."""
    found = tuple(msgspec.structs.replace(one, input=one.input or _only_input(model)) for one in declared)
    specs = {spec.name: spec for spec in model.inputs}
    for one in found:
        if one.input not in specs:
            raise _invalid(f"the model has no input {one.input!r}")
        _check(one, specs[one.input].shape)
    places = [(one.input, one.axis) for one in found]
    if len(set(places)) != len(places):
        name, axis = next(place for place in places if places.count(place) > 1)
        raise _invalid(f"dimension {axis} of input {name!r} is declared twice")
    return found


def _only_input(model: schema.Schema) -> str:
    if len(model.inputs) == 1:
        return model.inputs[0].name
    raise _invalid("each must name its input, because the model has several")


def _check(one: schema.Dimension, shape: tuple[int, ...]) -> None:
    if one.axis >= len(shape) or shape[one.axis] != schema.FREE:
        free = [axis for axis, size in enumerate(shape) if size == schema.FREE]
        raise _invalid(f"input {one.input!r} has shape {list(shape)}: its free dimensions are {free}, not {one.axis}")
    if not max(1, one.least) <= one.most:
        raise _invalid(f"input {one.input!r}, dimension {one.axis}: range must be [lowest, highest]")


def _invalid(message: str) -> errors.Rejected:
    return errors.Rejected("InvalidModel", f"model.yaml: dimensions: {message}")
