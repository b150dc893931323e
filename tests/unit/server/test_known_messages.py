"""A message that equals an earlier one but for its values is read as any other would be, or not taken for one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial_server.host import errors
from seatrial_server.model import schema
from seatrial_server.protocol import signature
from seatrial_server.protocol.rpc import codec, messages

REQUEST = messages.Messages().request["ModelInfer"]
MODEL = schema.Schema(
    inputs=(schema.TensorSpec("x", "FP32", (-1, 4)),), outputs=(schema.TensorSpec("y", "FP32", (-1,)),)
)


def message(*values: float, **fields: Any) -> Any:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4]}
    raw = np.array(values, np.float32).tobytes()
    return REQUEST(**{"model_name": "m", "inputs": [tensor], "raw_input_contents": [raw], **fields})


def decoder(*known: bytes) -> codec.Decoder:
    result = codec.Decoder(MODEL, stacked=True, request=REQUEST)
    for body in known:
        parsed = result.parse(body)
        result.learn(body, parsed, result.decode(parsed))
    return result


def read(decoded: signature.Decoded) -> tuple[Any, ...]:
    [values] = decoded.values
    assert isinstance(values, np.ndarray)
    return decoded.id, values.tobytes(), decoded.shapes, decoded.rows, decoded.reply, decoded.timeout


PLAIN = message(1, 2, 3, 4).SerializeToString()


def test_other_values_are_read_without_the_rest() -> None:
    found = decoder(PLAIN).again(message(5, 6, 7, 8).SerializeToString())
    assert found is not None
    assert np.array_equal(found.values[0], np.array([5, 6, 7, 8], np.float32))
    assert (found.shapes, found.rows) == ([(1, 4)], 1)


@pytest.mark.parametrize(
    "fields",
    [{"id": "a"}, {"model_version": "1"}, {"parameters": {"timeout": {"int64_param": 5}}}],
    ids=["id", "version", "parameters"],
)
def test_a_message_with_more_than_a_tensor_is_not_kept(fields: dict[str, Any]) -> None:
    body = message(1, 2, 3, 4, **fields).SerializeToString()
    assert decoder(body).again(body) is None


def test_values_that_something_follows_are_not_kept() -> None:
    field = PLAIN[-18:]  # with the tag and the length before it
    unknown = b"\x7a" + bytes([len(field)]) + field  # a field that nobody knows, with the same bytes in it
    body = PLAIN + unknown
    assert list(REQUEST.FromString(body).raw_input_contents) == [PLAIN[-16:]]
    assert decoder(body).again(body) is None


@pytest.mark.parametrize("last", [b"\x0a\x01m", b"\x32\x03\x0a\x01y"], ids=["the name", "an output"])
def test_values_that_do_not_come_last_are_not_kept(last: bytes) -> None:
    body = message(1, 2, 3, 4, model_name="").SerializeToString() + last
    read_first = decoder()
    assert read(read_first.decode(read_first.parse(body)))[2:4] == ([(1, 4)], 1)
    assert decoder(body).again(body) is None


def test_no_more_is_kept_than_is_allowed() -> None:
    long = "m" * 5000
    body = message(1, 2, 3, 4, model_name=long).SerializeToString()
    assert decoder(body).again(body) is None


@given(st.data())
def test_whatever_is_changed_the_message_is_read_as_any_other(data: st.DataObject) -> None:
    known = decoder(PLAIN)
    changed = bytearray(PLAIN)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    found = known.again(bytes(changed))
    if found is None:
        assert changed[:-16] != PLAIN[:-16]
        return
    assert read(found) == read(known.decode(known.parse(bytes(changed))))


def test_a_message_of_strings_is_not_kept() -> None:
    model = schema.Schema(inputs=(schema.TensorSpec("x", "BYTES", (-1,)),), outputs=MODEL.outputs)
    strings = codec.Decoder(model, stacked=True, request=REQUEST)
    tensor = {"name": "x", "datatype": "BYTES", "shape": [1]}
    body = REQUEST(model_name="m", inputs=[tensor], raw_input_contents=[b"\x01\0\0\0a"]).SerializeToString()
    parsed = strings.parse(body)
    strings.learn(body, parsed, strings.decode(parsed))
    with pytest.raises(errors.RequestError):
        strings.decode(strings.parse(body[:-5] + b"\x05\0\0\0a"))
    assert strings.again(body) is None
