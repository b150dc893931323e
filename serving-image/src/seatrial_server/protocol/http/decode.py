"""V2 infer request to a job: structure, names, datatypes, shapes and element counts. Pure, no event loop, no model run.

JSON of a well-behaved client (flat data, one element type) takes one typed decode, which also validates the structure;
everything else (nested data, several element types, binary tensors) takes the general way. Requests that equal earlier
ones but for their values need neither (`forms`). Whether a body has a binary part is decided by the presence of
Inference-Header-Content-Length alone: tritonclient sends no Content-Type. Values themselves (finite, in range) are
checked for a whole batch in `inference`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

import msgspec

from seatrial_server.engine import jobs
from seatrial_server.host import errors
from seatrial_server.model import datatypes, schema
from seatrial_server.protocol import binary, signature
from seatrial_server.protocol.http import elements, forms, pieces
from seatrial_server.protocol.signature import Decoded, Reply, Signature

_Data = TypeVar("_Data")
Parameters = dict[str, Any] | None
_NO_TEXTS: Mapping[str, pieces.Text] = {}
_WORST = 25
"""Bytes of Python objects that a byte of a body can become: a string, a list or a number of one character."""
_TOKEN = {signature.FEEDBACK: True}
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Input(msgspec.Struct, Generic[_Data]):
    name: str
    shape: tuple[int, ...]
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


class Decoder:
    """Decodes for one model. `stacked`: the first dimension of all inputs counts rows.

    `nullable` names the inputs in which null says that a value is missing; such a body takes the general way.
    """

    def __init__(self, model: schema.Schema, *, stacked: bool, nullable: frozenset[str] = frozenset()) -> None:
        self._nullable = nullable
        self._floating = len(model.inputs) == 1 and model.inputs[0].datatype in ("FP32", "FP64")
        self.forms = forms.Forms(self._reread)
        self.layouts = forms.Layouts(model)
        self._shapes: dict[tuple[str, str, tuple[int, ...]], forms.Plain] = {}
        self.schema = model
        self._signature = Signature(model, stacked=stacked)
        self._general = msgspec.json.Decoder(_Request[Any])
        self._flat: msgspec.json.Decoder[_Request[Any]] = self._general
        self._arrays = [
            pieces.Arrays(spec, check=functools.partial(elements.check, spec, nullable=spec.name in nullable))
            for spec in model.inputs
        ]
        kinds = {datatypes.BY_NAME[spec.datatype].element for spec in model.inputs}
        element = kinds.pop() if len(kinds) == 1 else None
        self._typed = element is not None
        if element is not None:
            self._flat = msgspec.json.Decoder(_Request[list[element]])  # type: ignore[valid-type]

    def decode(self, body: bytes, header_length: bytes | None) -> Decoded:
        """The request, or `RequestError` with status 400."""
        try:
            if header_length is not None:
                return self._decode_binary(body, header_length)
            return self.forms.decode(body) or self._decode_json(body)
        except _UNREADABLE as error:
            raise _unreadable(error) from None

    def decode_large(self, body: bytes, header_length: bytes | None, *, reserve: Callable[[int], None]) -> Decoded:
        """The same for a large body, in a thread; `reserve` is told what it takes before it takes it, see `pieces`."""
        try:
            if header_length is not None:
                strings = any(spec.datatype == "BYTES" for spec in self.schema.inputs)
                reserve(len(body) * (_WORST if strings else 1))
                return self._decode_binary(body, header_length)
            rest, texts = pieces.cut(body)
            reserve(_WORST * len(rest))
            return self._assemble(self._general.decode(rest), None, flat=False, texts=texts, reserve=reserve)
        except _UNREADABLE as error:
            raise _unreadable(error) from None

    def _reread(self, body: bytes) -> list[Any]:
        """See `jobs.Numbers.again`."""
        try:
            [values] = self._decode_json(body).values
        except _UNREADABLE as error:
            raise _unreadable(error) from None
        return cast(list[Any], values)

    def _decode_json(self, body: bytes) -> Decoded:
        if self._typed:
            try:
                request = self._flat.decode(body)
            except msgspec.ValidationError:
                pass  # nested data, or a mistake that the general way names better
            else:
                return self._known_shape(request) or self._flat_request(body, request)
        return self._assemble(self._general.decode(body), None, flat=False)

    def _known_shape(self, request: _Request[Any]) -> Decoded | None:
        """The request of a client that wants nothing special, in a shape seen before, with an id of its own."""
        if len(request.inputs) != 1 or request.outputs or request.parameters or not request.id:
            return None
        tensor = request.inputs[0]
        known = self._shapes.get((tensor.name, tensor.datatype, tensor.shape))
        data = tensor.data
        if known is None or tensor.parameters or type(data) is not list or len(data) != known.size:
            return None
        return Decoded(request.id, [data], known.shapes, known.rows, known.reply)

    def _flat_request(self, body: bytes, request: _Request[Any]) -> Decoded:
        decoded = self._assemble(request, None, flat=True)
        if len(request.inputs) == 1 and not request.outputs and (request.parameters or _TOKEN) == _TOKEN:
            tensor = request.inputs[0]
            if not tensor.parameters:
                plain = forms.Plain.of(decoded, tensor.shape)
                if not request.parameters:
                    forms.keep(self._shapes, (tensor.name, tensor.datatype, tensor.shape), plain)
                if self._floating and not request.id and isinstance(tensor.data, list):
                    self.forms.learn(body, tensor.data, plain)
        return decoded

    def _decode_binary(self, body: bytes, header_length: bytes) -> Decoded:
        length = binary.header_length(header_length, len(body))
        if length == 0:
            return self._raw(body)
        head = body[:length]
        known = self.layouts.decode(head, body)
        if known is not None:
            return known
        request = self._general.decode(head)
        decoded = self._assemble(request, binary.Cursor(body, length), flat=False)
        if not request.id and all(tensor.data is msgspec.UNSET for tensor in request.inputs):
            places = [self._signature.position(tensor.name, tensor.datatype) for tensor in request.inputs]
            self.layouts.learn(head, places, decoded)
        return decoded

    def _assemble(
        self,
        request: _Request[Any],
        cursor: binary.Cursor | None,
        *,
        flat: bool,
        texts: Mapping[str, pieces.Text] = _NO_TEXTS,
        reserve: Callable[[int], None] = lambda _: None,
    ) -> Decoded:
        given = request.inputs
        count = len(self.schema.inputs)
        values: list[jobs.Values | None] = [None] * count
        shapes: list[tuple[int, ...]] = [()] * count
        for tensor in given:
            index = self._signature.position(tensor.name, tensor.datatype)
            if values[index] is not None:
                raise signature.bad_input(tensor.name, "is given twice")
            spec = self.schema.inputs[index]
            shapes[index] = signature.checked_shape(spec, tensor.shape)
            text = texts.get(tensor.data) if texts and isinstance(tensor.data, str) else None
            if text is not None:
                values[index] = self._arrays[index].read(text, tensor.shape, reserve=reserve)
            else:
                values[index] = _values(tensor, spec, cursor, flat=flat, nullable=tensor.name in self._nullable)
        if len(given) != count:
            raise self._signature.missing(values)
        if cursor is not None:
            cursor.finish()
        return Decoded(
            id=request.id or "",
            values=[value for value in values if value is not None],
            shapes=shapes,
            rows=self._signature.rows(shapes),
            reply=self._reply(request),
            timeout=signature.timeout(request.parameters),
        )

    def _reply(self, request: _Request[Any]) -> Reply:
        default = bool((request.parameters or {}).get("binary_data_output", False))
        if not request.outputs:
            reply = self._signature.all[default]
        else:
            wanted = []
            for output in request.outputs:
                index = self._signature.output(output.name)
                parameters = output.parameters or {}
                unsupported = {"classification", "shared_memory_region"} & parameters.keys()
                if unsupported:
                    raise signature.bad_request(f"output {output.name!r}: {unsupported.pop()} is not supported")
                wanted.append((index, bool(parameters.get("binary_data", default))))
            reply = self._signature.reply(wanted)
        if signature.wants_token(request.parameters):
            reply = msgspec.structs.replace(reply, token=True)
        for index, as_binary in reply.outputs:
            spec = self.schema.outputs[index]
            if not as_binary and datatypes.BY_NAME[spec.datatype].element is None:
                raise signature.bad_request(
                    f"output {spec.name!r} is {spec.datatype}, which JSON cannot carry: ask for binary_data"
                )
        return reply

    def _raw(self, body: bytes) -> Decoded:
        """A body without JSON: the tensor of a single-input model whose only free dimension is the first."""
        spec = self.schema.inputs[0]
        if len(self.schema.inputs) != 1 or schema.FREE in spec.row_shape or not spec.shape:
            raise signature.bad_request(
                "a raw binary body needs a model with one input and at most a free first dimension"
            )
        array = binary.array(body, spec)
        row_size = math.prod(spec.row_shape)
        if not array.size or array.size % row_size:
            raise signature.bad_input(spec.name, f"rows have {row_size} elements, the body has {array.size}")
        shape = signature.checked_shape(spec, [array.size // row_size, *spec.row_shape])
        return Decoded(
            id="", values=[array], shapes=[shape], rows=self._signature.rows([shape]), reply=self._signature.all[True]
        )


def _unreadable(error: Exception) -> errors.RequestError:
    if isinstance(error, RecursionError):
        return signature.bad_request("the body is nested too deeply")
    return signature.bad_request(f"the body is no V2 inference request: {error}")


def _values(
    tensor: _Input[Any], spec: schema.TensorSpec, cursor: binary.Cursor | None, *, flat: bool, nullable: bool
) -> jobs.Values:
    parameters = tensor.parameters
    if parameters and "shared_memory_region" in parameters:
        raise signature.bad_input(tensor.name, "uses shared memory, which is not supported")
    if parameters and "binary_data_size" in parameters:
        if cursor is None:
            raise signature.bad_input(
                tensor.name, "has binary_data_size, but the header Inference-Header-Content-Length is missing"
            )
        part = cursor.take(tensor.name, parameters["binary_data_size"])
        return signature.from_bytes(part, spec, tensor.shape)
    if tensor.data is msgspec.UNSET:
        raise signature.bad_input(tensor.name, "has no data")
    data: list[Any] = tensor.data if flat else elements.flattened(tensor.name, tensor.shape, tensor.data)
    signature.check_size(tensor.name, len(data), tensor.shape)
    if not flat:
        elements.check(spec, data, nullable=nullable)
    return data
