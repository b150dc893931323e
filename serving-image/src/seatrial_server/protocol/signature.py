"""What every transport checks of a request against the model: names, datatypes, shapes, rows, wanted outputs. Pure.

Both decoders (JSON and binary over REST, protobuf over gRPC) end in `Decoded`; values themselves (finite, in range) are
checked for a whole batch in `inference`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from seatrial_server.engine import jobs
from seatrial_server.host import errors
from seatrial_server.model import schema
from seatrial_server.protocol import binary

FEEDBACK = "feedback"


class Reply(msgspec.Struct, frozen=True):
    """Which outputs (by position in the schema) the client wants, and each as binary or JSON."""

    outputs: tuple[tuple[int, bool], ...]
    uniform: bool | None = None
    """Set when all of them are the same: binary or not."""
    token: bool = False
    """The client wants a token to say later what became of the answer."""

    @property
    def places(self) -> tuple[int, ...]:
        """Those outputs, in the schema's order."""
        return tuple(sorted(place for place, _ in self.outputs))


class Decoded(msgspec.Struct):
    """A request that fits the schema; `id` is empty when the client gave none, `timeout` (seconds) zero."""

    id: str
    values: list[jobs.Values]
    shapes: list[tuple[int, ...]]
    rows: int
    reply: Reply
    timeout: float = 0.0


class Signature:
    """The checks for one model. `stacked`: the first dimension of all inputs counts rows."""

    def __init__(self, model: schema.Schema, *, stacked: bool) -> None:
        self.model = model
        self._stacked = stacked
        self._positions = {spec.name: index for index, spec in enumerate(model.inputs)}
        self._alike = [[(self._positions[place.input], place) for place in group] for group in model.alike]
        self._sizes = [(self._positions[dimension.input], dimension) for dimension in model.sizes]
        self._output_positions = {spec.name: index for index, spec in enumerate(model.outputs)}
        self.all = {
            flag: Reply(tuple((index, flag) for index in range(len(model.outputs))), flag) for flag in (False, True)
        }
        """Replies with every output, keyed by whether they are binary."""

    def position(self, name: str, datatype: str) -> int:
        """Which input this is."""
        index = self._positions.get(name)
        if index is None:
            raise bad_input(name, f"is not an input of the model, which has {list(self._positions)}")
        wanted = self.model.inputs[index].datatype
        if datatype != wanted:
            raise bad_input(name, f"has datatype {datatype!r}, must be {wanted}")
        return index

    def rows(self, shapes: Sequence[tuple[int, ...]]) -> int:
        """How many rows the request has: one where it is one thing (an image, a sequence, a fixed batch).

        Args:
            shapes: of all inputs; their sizes are compared with one another here.
        """
        for index, dimension in self._sizes:
            _check_size(shapes[index][dimension.axis], dimension)
        for group in self._alike:
            self._check_alike(shapes, group)
        if not self._stacked:
            return 1
        rows = shapes[0][0]
        if rows < 1:
            raise bad_request("a request has at least one row")
        if any(shape[0] != rows for shape in shapes):
            raise bad_request("all inputs must have the same number of rows")
        return rows

    def _check_alike(self, shapes: Sequence[tuple[int, ...]], group: list[tuple[int, schema.Place]]) -> None:
        sizes = [(shapes[index][place.axis], place) for index, place in group]
        size, first = max(sizes, key=lambda one: one[0])
        for other, place in sizes:
            if other != size and not (other == 1 and place.or_one):
                raise bad_input(
                    place.input,
                    f"has size {other} in dimension {place.axis}, must be {size} as dimension {first.axis} of input "
                    f"{first.input!r}",
                )

    def missing(self, values: Sequence[jobs.Values | None]) -> errors.RequestError:
        """The refusal of a request without all inputs."""
        names = [spec.name for spec, value in zip(self.model.inputs, values, strict=True) if value is None]
        return bad_request(f"inputs {names} are missing")

    def output(self, name: str) -> int:
        """Which output this is."""
        index = self._output_positions.get(name)
        if index is None:
            raise bad_request(f"output {name[:200]!r} is not one of {list(self._output_positions)}")
        return index

    def reply(self, wanted: Iterable[tuple[int, bool]]) -> Reply:
        """The wanted outputs, each at most once: an output asked for a million times is a way to fill the memory."""
        outputs = tuple(wanted)
        if len({index for index, _ in outputs}) != len(outputs):
            raise bad_request("an output is asked for twice")
        return Reply(outputs)


def _check_size(size: int, dimension: schema.Dimension) -> None:
    if dimension.nearest(size) != size:
        raise bad_input(dimension.input, f"has size {size} in dimension {dimension.axis}, must be {dimension.bound}")


def checked_shape(spec: schema.TensorSpec, given: Sequence[int]) -> tuple[int, ...]:
    """The shape as a tuple when it fits; a free dimension may be empty."""
    if len(given) != len(spec.shape) or any(
        size < 0 if wanted == schema.FREE else size != wanted for wanted, size in zip(spec.shape, given, strict=True)
    ):
        shown = list(given[:16])
        raise bad_input(spec.name, f"has shape {shown}, must be {list(spec.shape)} with any size for -1")
    return tuple(given)


def from_bytes(part: bytes, spec: schema.TensorSpec, shape: Sequence[int]) -> jobs.Values:
    """A binary tensor that has as many elements as its shape says."""
    array = binary.array(part, spec)
    check_size(spec.name, array.size, shape)
    return array


def check_size(name: str, found: int, shape: Sequence[int]) -> None:
    """Refuse a tensor whose elements do not fill its shape."""
    size = math.prod(shape)
    if found != size:
        raise bad_input(name, f"has {found} elements, its shape {list(shape)} has {size}")


def wants_token(parameters: Mapping[str, object] | None) -> bool:
    """The request parameter `feedback`."""
    value = parameters.get(FEEDBACK, False) if parameters else False
    if not isinstance(value, bool):
        raise bad_request(f"parameter {FEEDBACK!r} must be true or false")
    return value


def timeout(parameters: Mapping[str, object] | None) -> float:
    """The request parameter `timeout`, which clients give in microseconds, as seconds; 0 is none, as in Triton."""
    value = parameters.get("timeout", 0) if parameters else 0
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise bad_request("parameter 'timeout' must be a whole number of microseconds")
    return min(value, 10**12) / 1e6


def bad_request(message: str) -> errors.RequestError:
    """The client must change its request."""
    return errors.RequestError(400, message, code="InvalidRequest")


def bad_input(name: str, reason: str) -> errors.RequestError:
    """As `bad_request`, for one input."""
    return errors.RequestError(
        400, f"input {name[:200]!r} {reason}", code="InvalidInput", details={"input": name[:200], "reason": reason}
    )
