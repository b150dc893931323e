"""ModelInferRequest to a job, and model outputs to ModelInferResponse. Pure.

Tensors come raw (`raw_input_contents`, one entry per input in order) or typed (`contents`), never mixed. Answers are
always raw: tritonclient reads nothing else.

Clients send the same message again and again, with other values at its end. What was found out about all before them
stays true for the same bytes, see `http.forms`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from google.protobuf import message as protobuf

from seatrial_server.engine import jobs
from seatrial_server.model import schema
from seatrial_server.protocol import binary, signature

_CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
_NO_MARKS: Mapping[str, str] = {}
_UNSUPPORTED = ("classification", "shared_memory_region")
_MAX_KNOWN, _MAX_START, _MAX_CONTENT = 256, 4096, 65_536
_OTHERS = bytes(range(255, -1, -1))
"""For each byte another."""


class _Known(msgspec.Struct, frozen=True):
    """What all bytes of a message but its only tensor's say; `decoded` has the values of another message."""

    start: bytes
    decoded: signature.Decoded


class Decoder:
    """Decodes for one model; `request` is the message class."""

    def __init__(self, model: schema.Schema, *, stacked: bool, request: Any) -> None:
        self._schema = model
        self._signature = signature.Signature(model, stacked=stacked)
        self._request = request
        self._strings = any(spec.datatype == "BYTES" for spec in model.inputs)
        self._known: dict[int, _Known] = {}  # by the length of the message

    def again(self, body: bytes) -> signature.Decoded | None:
        """A message that equals an earlier one but for its values, as `decode` would give it."""
        known = self._known.get(len(body))
        if known is None or not body.startswith(known.start):
            return None
        values, decoded = binary.array(body[len(known.start) :], self._schema.inputs[0]), known.decoded
        return signature.Decoded("", [values], decoded.shapes, decoded.rows, decoded.reply)

    def learn(self, body: bytes, message: Any, decoded: signature.Decoded) -> None:
        """Only a message with nothing but one raw tensor, which nothing follows. Strings have no size of their own."""
        if message.id or message.model_version or message.parameters or len(message.raw_input_contents) != 1:
            return
        [content] = message.raw_input_contents
        start = body[: len(body) - len(content)]
        if not 0 < len(content) <= _MAX_CONTENT or len(start) > _MAX_START or self._strings:
            return
        if not self._ends_with(start, content.translate(_OTHERS)):
            return
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[len(body)] = _Known(start, decoded)

    def _ends_with(self, start: bytes, content: bytes) -> bool:
        """Whether a message that begins with these bytes has the content as its tensor."""
        try:
            return list(self._request.FromString(start + content).raw_input_contents) == [content]
        except protobuf.DecodeError:
            return False

    def parse(self, body: bytes) -> Any:
        """The message, or `RequestError` when the bytes are none."""
        try:
            return self._request.FromString(body)
        except protobuf.DecodeError:
            raise signature.bad_request("the message is no ModelInferRequest") from None

    def decode(self, message: Any) -> signature.Decoded:
        """The request, or `RequestError` with status 400."""
        raw, count = message.raw_input_contents, len(self._schema.inputs)
        if raw and len(raw) != len(message.inputs):
            raise signature.bad_request(f"raw_input_contents has {len(raw)} entries for {len(message.inputs)} inputs")
        values: list[jobs.Values | None] = [None] * count
        shapes: list[tuple[int, ...]] = [()] * count
        for number, tensor in enumerate(message.inputs):
            index = self._signature.position(tensor.name, tensor.datatype)
            if values[index] is not None:
                raise signature.bad_input(tensor.name, "is given twice")
            if tensor.parameters and "shared_memory_region" in tensor.parameters:
                raise signature.bad_input(tensor.name, "uses shared memory, which is not supported")
            spec = self._schema.inputs[index]
            shapes[index] = shape = signature.checked_shape(spec, tensor.shape)
            if not raw:
                values[index] = _typed(tensor, spec, shape)
            elif tensor.HasField("contents"):
                raise signature.bad_input(tensor.name, "has contents although raw_input_contents is used")
            else:
                values[index] = signature.from_bytes(raw[number], spec, shape)
        if len(message.inputs) != count:
            raise self._signature.missing(values)
        return signature.Decoded(
            id=message.id,
            values=[value for value in values if value is not None],
            shapes=shapes,
            rows=self._signature.rows(shapes),
            reply=self._with_token(message),
            timeout=_timeout(message.parameters) if message.parameters else 0.0,
        )

    def _with_token(self, message: Any) -> signature.Reply:
        reply = self._reply(message)
        if message.parameters and signature.wants_token(_parameter(message.parameters, signature.FEEDBACK)):
            reply = msgspec.structs.replace(reply, token=True)
        return reply

    def _reply(self, message: Any) -> signature.Reply:
        if not message.outputs:
            return self._signature.all[True]
        for output in message.outputs:
            unsupported = [name for name in _UNSUPPORTED if name in output.parameters]
            if unsupported:
                raise signature.bad_request(f"output {output.name[:200]!r}: {unsupported[0]} is not supported")
        return self._signature.reply((self._signature.output(output.name), True) for output in message.outputs)


class Encoder:
    """Encodes for one model; `response` is the message class."""

    def __init__(self, model: schema.Schema, *, name: str, version: str, response: Any) -> None:
        self._outputs = model.outputs
        self._name, self._version, self._response = name, version, response

    def encode(
        self,
        request_id: str,
        outputs: jobs.Outputs,
        reply: signature.Reply,
        *,
        degraded: str = "",
        marks: Mapping[str, str] = _NO_MARKS,
    ) -> bytes:
        """The serialized message; `marks` are further parameters."""
        message = self._response(model_name=self._name, model_version=self._version, id=request_id)
        for index, _ in reply.outputs:
            spec, array = self._outputs[index], outputs[index]
            message.outputs.add(name=spec.name, datatype=spec.datatype, shape=array.shape)
            message.raw_output_contents.append(binary.encoded(array, spec.datatype))
        if degraded:
            message.parameters["degraded"].string_param = degraded
        for name, text in marks.items():
            message.parameters[name].string_param = text
        serialized: bytes = message.SerializeToString()
        return serialized


def _typed(tensor: Any, spec: schema.TensorSpec, shape: tuple[int, ...]) -> jobs.Values:
    field = _CONTENTS.get(spec.datatype)
    if field is None:
        raise signature.bad_input(spec.name, f"is {spec.datatype}, which only raw_input_contents can carry")
    values = list(getattr(tensor.contents, field))
    if not values and tensor.HasField("contents"):
        raise signature.bad_input(spec.name, f"has no elements in {field}, where {spec.datatype} belongs")
    signature.check_size(spec.name, len(values), shape)
    return _texts(values, spec.name) if spec.datatype == "BYTES" else values


def _texts(values: list[bytes], name: str) -> jobs.Values:
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError:
        raise signature.bad_input(name, "has an element that is not UTF-8, which ONNX strings are") from None


def _timeout(parameters: Any) -> float:
    return signature.timeout(_parameter(parameters, "timeout"))


def _parameter(parameters: Any, name: str) -> dict[str, Any]:
    """The one parameter, if it is given, in the form in which JSON has it."""
    if name not in parameters:
        return {}
    given = parameters[name]
    return {name: getattr(given, given.WhichOneof("parameter_choice") or "string_param")}
