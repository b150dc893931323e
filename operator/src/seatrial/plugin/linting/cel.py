"""The CRD's rules without a cluster: CEL by `cel-python`, with the functions that Kubernetes adds to the language.

Only those that our rules use are here. That both sides say the same of every rule is a test against a real API server.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import celpy
from celpy import celtypes
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError

from seatrial.api import schema as resource
from seatrial.api import values
from seatrial.plugin.linting import bounds

_SUFFIXES = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{name: Decimal(1000) ** power for power, name in enumerate("kMGT", start=1)},
    **{f"{name}i": Decimal(1024) ** power for power, name in enumerate("KMGT", start=1)},
}


class Quantity:
    """A Kubernetes quantity, to be compared."""

    def __init__(self, text: str) -> None:
        """Raises ValueError for what is none."""
        number = text.rstrip("mkKMGTi")
        try:
            self.value = Decimal(number) * _SUFFIXES[text[len(number) :]]
        except (InvalidOperation, KeyError) as error:
            raise ValueError(f"{text!r} is no quantity") from error


def _quantity(text: celtypes.StringType) -> Quantity:
    return Quantity(str(text))


def _is_quantity(text: celtypes.StringType) -> celtypes.BoolType:
    try:
        Quantity(str(text))
    except ValueError:
        return celtypes.BoolType(False)
    return celtypes.BoolType(True)


def _compare_to(one: Quantity, other: Quantity) -> celtypes.IntType:
    return celtypes.IntType((one.value > other.value) - (one.value < other.value))


def _is_sorted(items: Sequence[Any]) -> celtypes.BoolType:
    return celtypes.BoolType(all(a <= b for a, b in itertools.pairwise(items)))


def _replace(text: celtypes.StringType, old: celtypes.StringType, new: celtypes.StringType) -> celtypes.StringType:
    return celtypes.StringType(str(text).replace(old, new))


def _duration(text: celtypes.StringType) -> celtypes.DurationType:
    """cel-python's own doesn't add up all parts that Go's has; this is the resource's. Raises ValueError."""
    return celtypes.DurationType(values.Duration.parse(str(text)))


_FUNCTIONS: dict[str, Any] = {
    "quantity": _quantity,
    "isQuantity": _is_quantity,
    "compareTo": _compare_to,
    "isSorted": _is_sorted,
    "replace": _replace,
    "duration": _duration,
}


@functools.cache
def _program(expression: str) -> Any:
    environment = celpy.Environment()
    return environment.program(environment.compile(expression), functions=_FUNCTIONS)


def findings(document: dict[str, Any]) -> list[bounds.Finding]:
    """What the rules refuse in an object that has its defaults and fits the schema."""
    schema = resource.model_deployment()
    schema["properties"].pop("status")
    return list(_checked(schema, document, ()))


def _checked(schema: bounds.Schema, value: Any, path: tuple[str | int, ...]) -> Iterator[bounds.Finding]:
    for rule in schema.get("x-kubernetes-validations", ()):
        if not _holds(rule["rule"], _named(schema, value)):
            yield bounds.Finding(bounds.path_of(path), rule["message"])
    if isinstance(value, dict):
        for name, member in schema.get("properties", {}).items():
            if value.get(name) is not None:
                yield from _checked(member, value[name], (*path, name))
        if isinstance(each := schema.get("additionalProperties"), dict):
            for name, own in value.items():
                yield from _checked(each, own, (*path[:-1], f"{path[-1]}[{name}]"))
    if isinstance(value, list) and "items" in schema:
        for place, item in enumerate(value):
            yield from _checked(schema["items"], item, (*path, place))


def _named(schema: bounds.Schema, value: Any) -> Any:
    """With the names of members as CEL spells them: `ephemeral-storage` would be a subtraction. A map's keys stay."""
    if isinstance(value, dict) and "properties" in schema:
        members = schema["properties"]
        return {name.replace("-", "__dash__"): _named(members.get(name, {}), own) for name, own in value.items()}
    if isinstance(value, list):
        return [_named(schema.get("items", {}), item) for item in value]
    return value


def _holds(expression: str, value: Any) -> bool:
    """An expression that can't be evaluated refuses, as in the API server."""
    try:
        return bool(_program(expression).evaluate({"self": json_to_cel(value)}))
    except CELEvalError:
        return False
