"""What a model takes and gives: tensors from the graph, refined by the package's `model.yaml`.

Pure: knows neither ONNX Runtime nor HTTP. The server validates every request against it before a model runs.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from seatrial_server import datatypes, errors

FREE = -1
"""A dimension whose size the request chooses."""


class TensorSpec(msgspec.Struct, frozen=True):
    """One input or output; a free dimension is -1, as in V2 metadata."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape without its first dimension."""
        return self.shape[1:]


class Schema(msgspec.Struct, frozen=True):
    """Inputs and outputs of a model, in graph order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def rows_first(self) -> bool:
        """Whether the first dimension of every tensor is free: the precondition of batching."""
        return all(spec.shape and spec.shape[0] == FREE for spec in (*self.inputs, *self.outputs))

    def example(self, rows: int) -> dict[str, np.ndarray[Any, Any]]:
        """Zero-filled inputs with `rows` rows; other free dimensions have size 1."""
        feeds = {}
        for spec in self.inputs:
            shape = [rows if axis == 0 and size == FREE else max(size, 1) for axis, size in enumerate(spec.shape)]
            dtype = datatypes.BY_NAME[spec.datatype].dtype
            feeds[spec.name] = np.full(shape, "", dtype) if spec.datatype == "BYTES" else np.zeros(shape, dtype)
        return feeds


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column of an input. `range` is inclusive; `input` may be left out when the model has one input."""

    name: str
    input: str = ""
    range: tuple[float, float] | None = None
    policy: Literal["reject"] = "reject"


class OutputNames(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which output is the label and which holds the probabilities."""

    label: str = ""
    probabilities: str = ""


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`model.yaml`: what the graph cannot say. `provenance` and `intendedUse` are for people."""

    task: Literal["classification", "regression"] | None = None
    features: tuple[Feature, ...] = ()
    outputs: OutputNames = OutputNames()
    labels: tuple[str | int, ...] = ()
    provenance: dict[str, Any] = {}
    intended_use: Annotated[str, msgspec.Meta(max_length=10_000)] = ""


class Bounds(msgspec.Struct, frozen=True):
    """Inclusive ranges of the columns of one input, and the columns' names for messages."""

    features: tuple[str, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


def bounds(card: Card, schema: Schema) -> dict[str, Bounds]:
    """Per input, the ranges that `model.yaml` declares; refuses features that do not fit the graph."""
    by_input: dict[str, list[Feature]] = {}
    for feature in card.features:
        by_input.setdefault(feature.input or _only_input(schema), []).append(feature)
    specs = {spec.name: spec for spec in schema.inputs}
    result = {}
    for name, features in by_input.items():
        _check_columns(specs.get(name), name, features)
        ranges = [feature.range or (None, None) for feature in features]
        result[name] = Bounds(
            features=tuple(feature.name for feature in features),
            low=tuple(low for low, _ in ranges),
            high=tuple(high for _, high in ranges),
        )
    return result


def check_outputs(card: Card, schema: Schema) -> None:
    """Refuse output names in `model.yaml` that the graph does not have."""
    known = {spec.name for spec in schema.outputs}
    for field, name in (("label", card.outputs.label), ("probabilities", card.outputs.probabilities)):
        if name and name not in known:
            raise errors.Rejected(
                "InvalidModel", f"model.yaml: outputs.{field} must be one of {sorted(known)}, not {name!r}"
            )


def _only_input(schema: Schema) -> str:
    if len(schema.inputs) == 1:
        return schema.inputs[0].name
    raise errors.Rejected("InvalidModel", "model.yaml: each feature must name its input, because the model has several")


def _check_columns(spec: TensorSpec | None, name: str, features: list[Feature]) -> None:
    if spec is None:
        raise errors.Rejected("InvalidModel", f"model.yaml: the model has no input {name!r}")
    columns = int(np.prod(spec.row_shape)) if spec.row_shape else 1
    if FREE in spec.row_shape or columns != len(features):
        raise errors.Rejected(
            "InvalidModel",
            f"model.yaml: input {name!r} has shape {list(spec.shape)}; features must list every column once, "
            f"but lists {len(features)}",
        )
    if spec.datatype in ("BYTES", "BOOL") and any(feature.range for feature in features):
        raise errors.Rejected("InvalidModel", f"model.yaml: a range needs a numeric input, {name!r} is {spec.datatype}")
