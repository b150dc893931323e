"""What a model takes and gives: tensors from the graph, refined by the package's `model.yaml`.

Pure: knows neither ONNX Runtime nor HTTP. The server validates every request against it before a model runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from seatrial_server.host import errors
from seatrial_server.model import datatypes

FREE = -1
"""A dimension whose size the request chooses."""
Value = int | float | str
_NAMED = 10


class TensorSpec(msgspec.Struct, frozen=True):
    """One input or output; a free dimension is -1, as in V2 metadata."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape without its first dimension."""
        return self.shape[1:]


class Place(msgspec.Struct, frozen=True):
    """A dimension of an input. `or_one`: of size one it fits others of any size."""

    input: str
    axis: int
    or_one: bool = False


Bound = Annotated[int, msgspec.Meta(ge=0)] | None


class Dimension(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sizes that a free dimension of an input may have.

    `input` may be left out when the model has only one. `range` is inclusive; an open end is null.
    """

    axis: Annotated[int, msgspec.Meta(ge=0)]
    range: tuple[Bound, Bound]
    input: str = ""

    @property
    def least(self) -> int:
        """The smallest size."""
        return self.range[0] or 0

    @property
    def most(self) -> float:
        """The largest size, maybe infinite."""
        return math.inf if self.range[1] is None else self.range[1]

    @property
    def bound(self) -> str:
        """What a size must be, for messages."""
        return f"{self.least} to {self.most}" if self.most < math.inf else f"{self.least} or more"

    def nearest(self, size: int) -> int:
        """The allowed size that is nearest to this one."""
        return int(max(self.least, min(size, self.most)))


class Axis(msgspec.Struct, frozen=True):
    """What the first dimension of the tensors is.

    free: rows, as many as a request likes, none of which changes another's answer. fixed: `size` of them in every call.
    none: a part of the thing itself (a height, a sequence); a request is one thing then, whatever its size.
    """

    kind: Literal["none", "fixed", "free"]
    size: int = 0


class Schema(msgspec.Struct, frozen=True):
    """Inputs and outputs of a model, in graph order.

    `found`: the row axis, once it was tried (`model.axis`). `alike`: dimensions that must have one size
    (`model.alike`). `tables`: inputs that are places in a table, with the number of its entries (`prepare.tables`).
    `sizes`: what `model.yaml` declares of free dimensions (`model.dimensions`).
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    found: Axis | None = None
    alike: tuple[tuple[Place, ...], ...] = ()
    tables: dict[str, int] = {}
    sizes: tuple[Dimension, ...] = ()

    @property
    def axis(self) -> Axis:
        """What was found, else what the declared shapes say."""
        if self.found is not None:
            return self.found
        first = {spec.shape[0] if spec.shape else None for spec in (*self.inputs, *self.outputs)}
        size = first.pop() if len(first) == 1 else None
        if size is None:
            return Axis("none")
        return Axis("free") if size == FREE else Axis("fixed", size)

    @property
    def rows_first(self) -> bool:
        """Whether rows of several requests can be put together: the precondition of batching."""
        return self.axis.kind == "free"

    def row_shape(self, spec: TensorSpec) -> tuple[int, ...]:
        """The part of a tensor's shape that belongs to one row."""
        return spec.shape if self.axis.kind == "none" else spec.shape[1:]

    @property
    def first_sized(self) -> bool:
        """Whether sizes are declared for a first dimension, which doesn't count rows then."""
        return any(dimension.axis == 0 for dimension in self.sizes)

    def fitting(self, spec: TensorSpec, shape: Iterable[int]) -> tuple[int, ...]:
        """A shape for the input, its sizes brought within those that are declared."""
        fitted = list(shape)
        for dimension in self.sizes:
            if dimension.input == spec.name:
                fitted[dimension.axis] = dimension.nearest(fitted[dimension.axis])
        return tuple(fitted)

    def example(self, rows: int) -> dict[str, np.ndarray[Any, Any]]:
        """Zero-filled inputs with `rows` rows; other free dimensions have size 1, or the least that is declared."""
        feeds = {}
        for spec in self.inputs:
            sizes = [rows if axis == 0 and size == FREE else max(size, 1) for axis, size in enumerate(spec.shape)]
            shape = self.fitting(spec, sizes)
            dtype = datatypes.BY_NAME[spec.datatype].dtype
            feeds[spec.name] = np.full(shape, "", dtype) if spec.datatype == "BYTES" else np.zeros(shape, dtype)
        return feeds


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column of an input, which may be left out when the model has only one.

    `range` is inclusive; an open end is null or infinite (JSON knows no infinity, so the manifest says null). `policy`
    is for a value outside of `range` or `categories`, `missing` for NaN, null and (in BYTES) the empty string: `allow`
    hands NaN to the model, and holds by itself where the graph is made for it. `default` is the value that impute puts
    in their place. `sensitive`: its values never leave the pod in samples.
    """

    name: str
    input: str = ""
    range: tuple[float | None, float | None] | None = None
    categories: tuple[Value, ...] = ()
    policy: Literal["reject", "clip", "impute"] = "reject"
    missing: Literal["reject", "impute", "allow"] | None = None
    default: Value | None = None
    sensitive: bool = False

    @property
    def bound(self) -> str:
        """What a value must be, for messages."""
        if self.categories:
            more = ", ..." if len(self.categories) > _NAMED else ""
            return f"one of {', '.join(map(repr, self.categories[:_NAMED]))}{more}"
        return f"in [{self.lowest:g}, {self.highest:g}]" if self.range else "a finite number"

    @property
    def lowest(self) -> float:
        """The lower end, maybe infinite."""
        return -math.inf if self.range is None or self.range[0] is None else self.range[0]

    @property
    def highest(self) -> float:
        """The upper end, maybe infinite."""
        return math.inf if self.range is None or self.range[1] is None else self.range[1]


Words = Annotated[str, msgspec.Meta(max_length=10_000)]
Sentences = Annotated[tuple[Words, ...], msgspec.Meta(max_length=50)] | Words
"""One, or a list of them."""


class OutputNames(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which output is the label and which holds the probabilities."""

    label: str = ""
    probabilities: str = ""


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`model.yaml`: what the graph cannot say.

    `fallback` is one row for each output. From `provenance` on it is for people: the model's card is made of it.
    """

    task: Literal["classification", "regression"] | None = None
    features: tuple[Feature, ...] = ()
    dimensions: tuple[Dimension, ...] = ()
    outputs: OutputNames = OutputNames()
    labels: tuple[str | int, ...] = ()
    fallback: dict[str, Any] = {}
    provenance: dict[str, Any] = {}
    intended_use: Words = ""
    owner: Words = ""
    license: Words = ""
    architecture: Words = ""
    rationale: Words = ""
    hyperparameters: dict[str, Any] = {}
    out_of_scope: Sentences = ()
    limitations: Sentences = ()
    ethics: Sentences = ()


def check_outputs(card: Card, schema: Schema) -> None:
    """Refuse output names in `model.yaml` that the graph does not have."""
    known = {spec.name for spec in schema.outputs}
    for field, name in (("label", card.outputs.label), ("probabilities", card.outputs.probabilities)):
        if name and name not in known:
            raise errors.Rejected(
                "InvalidModel", f"model.yaml: outputs.{field} must be one of {sorted(known)}, not {name!r}"
            )
