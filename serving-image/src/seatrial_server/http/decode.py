"""V2 infer request to a job: structure, names, datatypes, shapes and element counts. Pure, no event loop, no model run.

JSON of a well-behaved client (flat data, one element type) takes one typed decode, which also validates the structure;
everything else (nested data, several element types, binary tensors) takes the general way. Whether a body has a binary
part is decided by the presence of Inference-Header-Content-Length alone: tritonclient sends no Content-Type.
Values themselves (finite, in range) are checked for a whole batch in `inference`.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Generic, TypeVar

import msgspec

from seatrial_server import datatypes, errors, jobs
from seatrial_server.http import binary
from seatrial_server.model import schema

_Data = TypeVar("_Data")
Parameters = dict[str, Any] | None


class _Input(msgspec.Struct, Generic[_Data]):
    name: str
    shape: list[int]
    datatype: str
    data: _Data | msgspec.UnsetType = msgspec.UNSET
    parameters: Parameters = None


class _Output(msgspec.Struct):
    name: str
    parameters: Parameters = None


class _Request(msgspec.Struct, Generic[_Data]):
    inputs: list[_Input[_Data]]
    id: str | None = None
    parameters: Parameters = None
    outputs: list[_Output] | None = None


class Reply(msgspec.Struct, frozen=True):
    """Which outputs (by position in the schema) the client wants, and each as binary or JSON."""

    outputs: tuple[tuple[int, bool], ...]


class Decoded(msgspec.Struct):
    """A request that fits the schema; `id` is empty when the client gave none, `timeout` (seconds) zero."""

    id: str
    values: list[jobs.Values]
    shapes: list[tuple[int, ...]]
    rows: int
    reply: Reply
    timeout: float = 0.0


class Decoder:
    """Decodes for one model. `stacked`: the first dimension of all inputs counts rows.

    `nullable` names the inputs in which null says that a value is missing; such a body takes the general way.
    """

    def __init__(self, model: schema.Schema, *, stacked: bool, nullable: frozenset[str] = frozenset()) -> None:
        self._nullable = nullable
        self._schema = model
        self._stacked = stacked
        self._positions = {spec.name: index for index, spec in enumerate(model.inputs)}
        self._output_positions = {spec.name: index for index, spec in enumerate(model.outputs)}
        self._all = {flag: Reply(tuple((index, flag) for index in range(len(model.outputs)))) for flag in (False, True)}
        self._general = msgspec.json.Decoder(_Request[Any])
        self._flat: msgspec.json.Decoder[_Request[Any]] = self._general
        elements = {datatypes.BY_NAME[spec.datatype].element for spec in model.inputs}
        element = elements.pop() if len(elements) == 1 else None
        self._typed = element is not None
        if element is not None:
            self._flat = msgspec.json.Decoder(_Request[list[element]])  # type: ignore[valid-type]

    def decode(self, body: bytes, header_length: bytes | None) -> Decoded:
        """The request, or `RequestError` with status 400."""
        try:
            if header_length is not None:
                return self._decode_binary(body, header_length)
            if self._typed:
                try:
                    return self._assemble(self._flat.decode(body), None, flat=True)
                except msgspec.ValidationError:
                    pass  # nested data, or a mistake that the general way names better
            return self._assemble(self._general.decode(body), None, flat=False)
        except msgspec.MsgspecError as error:
            raise bad_request(f"the body is no V2 inference request: {error}") from None
        except RecursionError:
            raise bad_request("the body is nested too deeply") from None

    def _decode_binary(self, body: bytes, header_length: bytes) -> Decoded:
        length = binary.header_length(header_length, len(body))
        if length == 0:
            return self._raw(body)
        return self._assemble(self._general.decode(body[:length]), binary.Cursor(body, length), flat=False)

    def _assemble(self, request: _Request[Any], cursor: binary.Cursor | None, *, flat: bool) -> Decoded:
        given = request.inputs
        count = len(self._schema.inputs)
        values: list[jobs.Values | None] = [None] * count
        shapes: list[tuple[int, ...]] = [()] * count
        for tensor in given:
            index = self._position(tensor)
            if values[index] is not None:
                raise _bad_input(tensor.name, "is given twice")
            spec = self._schema.inputs[index]
            shapes[index] = _checked_shape(spec, tensor.shape)
            values[index] = _values(tensor, spec, cursor, flat=flat, nullable=tensor.name in self._nullable)
        if len(given) != count:
            missing = [spec.name for spec, value in zip(self._schema.inputs, values, strict=True) if value is None]
            raise bad_request(f"inputs {missing} are missing")
        if cursor is not None:
            cursor.finish()
        return Decoded(
            id=request.id or "",
            values=[value for value in values if value is not None],
            shapes=shapes,
            rows=self._rows(shapes),
            reply=self._reply(request),
            timeout=_timeout(request.parameters) if request.parameters else 0.0,
        )

    def _position(self, tensor: _Input[Any]) -> int:
        index = self._positions.get(tensor.name)
        if index is None:
            raise _bad_input(tensor.name, f"is not an input of the model, which has {list(self._positions)}")
        wanted = self._schema.inputs[index].datatype
        if tensor.datatype != wanted:
            raise _bad_input(tensor.name, f"has datatype {tensor.datatype!r}, must be {wanted}")
        return index

    def _rows(self, shapes: list[tuple[int, ...]]) -> int:
        if not self._stacked:
            return shapes[0][0] if shapes and shapes[0] else 1
        rows = shapes[0][0]
        if any(shape[0] != rows for shape in shapes):
            raise bad_request("all inputs must have the same number of rows")
        return rows

    def _reply(self, request: _Request[Any]) -> Reply:
        default = bool((request.parameters or {}).get("binary_data_output", False))
        if not request.outputs:
            reply = self._all[default]
        else:
            wanted = []
            for output in request.outputs:
                index = self._output_positions.get(output.name)
                if index is None:
                    raise bad_request(f"output {output.name!r} is not one of {list(self._output_positions)}")
                parameters = output.parameters or {}
                unsupported = {"classification", "shared_memory_region"} & parameters.keys()
                if unsupported:
                    raise bad_request(f"output {output.name!r}: {unsupported.pop()} is not supported")
                wanted.append((index, bool(parameters.get("binary_data", default))))
            reply = Reply(tuple(wanted))
        for index, as_binary in reply.outputs:
            spec = self._schema.outputs[index]
            if not as_binary and datatypes.BY_NAME[spec.datatype].element is None:
                raise bad_request(
                    f"output {spec.name!r} is {spec.datatype}, which JSON cannot carry: ask for binary_data"
                )
        return reply

    def _raw(self, body: bytes) -> Decoded:
        """A body without JSON: the tensor of a single-input model whose only free dimension is the first."""
        spec = self._schema.inputs[0]
        if len(self._schema.inputs) != 1 or schema.FREE in spec.row_shape or not spec.shape:
            raise bad_request("a raw binary body needs a model with one input and at most a free first dimension")
        array = binary.array(body, spec)
        row_size = math.prod(spec.row_shape)
        if not array.size or array.size % row_size:
            raise _bad_input(spec.name, f"rows have {row_size} elements, the body has {array.size}")
        shape = _checked_shape(spec, [array.size // row_size, *spec.row_shape])
        return Decoded(id="", values=[array], shapes=[shape], rows=shape[0], reply=self._all[True])


def bad_request(message: str) -> errors.RequestError:
    """The client must change its request."""
    return errors.RequestError(400, message, code="InvalidRequest")


def _bad_input(name: str, reason: str) -> errors.RequestError:
    return errors.RequestError(
        400, f"input {name!r} {reason}", code="InvalidInput", details={"input": name, "reason": reason}
    )


def _checked_shape(spec: schema.TensorSpec, given: list[int]) -> tuple[int, ...]:
    if len(given) != len(spec.shape) or any(
        size < 1 if wanted == schema.FREE else size != wanted for wanted, size in zip(spec.shape, given, strict=True)
    ):
        raise _bad_input(spec.name, f"has shape {given}, must be {list(spec.shape)} with sizes of at least 1 for -1")
    return tuple(given)


def _timeout(parameters: dict[str, Any]) -> float:
    """The request's own deadline; V2 clients give it in microseconds."""
    microseconds = parameters.get("timeout", 0)
    if type(microseconds) is not int or microseconds < 0:
        raise bad_request("parameters.timeout must be a whole number of microseconds")
    return min(microseconds, 10**12) / 1e6


def _values(
    tensor: _Input[Any], spec: schema.TensorSpec, cursor: binary.Cursor | None, *, flat: bool, nullable: bool
) -> jobs.Values:
    size = math.prod(tensor.shape)
    parameters = tensor.parameters
    if parameters and "shared_memory_region" in parameters:
        raise _bad_input(tensor.name, "uses shared memory, which is not supported")
    if parameters and "binary_data_size" in parameters:
        if cursor is None:
            raise _bad_input(
                tensor.name, "has binary_data_size, but the header Inference-Header-Content-Length is missing"
            )
        part = cursor.take(tensor.name, parameters["binary_data_size"])
        array = binary.array(part, spec)
        if array.size != size:
            raise _bad_input(tensor.name, f"has {array.size} elements, its shape {tensor.shape} has {size}")
        return array
    if tensor.data is msgspec.UNSET:
        raise _bad_input(tensor.name, "has no data")
    data: list[Any] = tensor.data if flat else _flattened(tensor)
    if len(data) != size:
        raise _bad_input(tensor.name, f"has {len(data)} elements, its shape {tensor.shape} has {size}")
    if not flat:
        _check_elements(tensor.name, data, spec, nullable=nullable)
    return data


def _flattened(tensor: _Input[Any]) -> list[Any]:
    """Row-major elements of flat or fully nested data."""
    level = tensor.data
    if not isinstance(level, list):
        raise _bad_input(tensor.name, "must have an array as data")
    if not level or not isinstance(level[0], list):
        return level
    for axis, size in enumerate(tensor.shape):
        parts = [level] if axis == 0 else level
        if any(not isinstance(part, list) or len(part) != size for part in parts):
            raise _bad_input(tensor.name, f"has nested data that does not fit its shape {tensor.shape}")
        level = parts[0] if axis == 0 else list(itertools.chain.from_iterable(parts))
    return level


_ELEMENTS: dict[type, frozenset[type]] = {
    bool: frozenset({bool}),
    int: frozenset({int}),
    float: frozenset({int, float}),
    str: frozenset({str}),
}


def _check_elements(name: str, data: list[Any], spec: schema.TensorSpec, *, nullable: bool) -> None:
    element = datatypes.BY_NAME[spec.datatype].element
    if element is None:
        raise _bad_input(name, f"is {spec.datatype}, which JSON cannot carry: send it as a binary tensor")
    allowed = _ELEMENTS[element] | {type(None)} if nullable else _ELEMENTS[element]
    if not set(map(type, data)) <= allowed:
        place = next(index for index, value in enumerate(data) if type(value) not in allowed)
        found = "null" if data[place] is None else type(data[place]).__name__
        raise _bad_input(name, f"has a {found} at position {place}, every element must be {spec.datatype}")
