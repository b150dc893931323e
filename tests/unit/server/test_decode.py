"""V2 infer requests: what is accepted in which form, and what is refused with which words."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from seatrial_server.host import errors
from seatrial_server.model import schema
from seatrial_server.protocol import signature
from seatrial_server.protocol.http import decode

FLOATS = schema.Schema(
    inputs=(schema.TensorSpec("x", "FP32", (-1, 2)),), outputs=(schema.TensorSpec("y", "FP32", (-1, 2)),)
)


def one(datatype: str, shape: tuple[int, ...] = (-1, 2)) -> schema.Schema:
    return schema.Schema(
        inputs=(schema.TensorSpec("x", datatype, shape),), outputs=(schema.TensorSpec("y", datatype, shape),)
    )


def body(data: Any, *, shape: list[int] | None = None, datatype: str = "FP32", **extra: Any) -> bytes:
    tensor = {"name": "x", "shape": shape or [1, 2], "datatype": datatype, "data": data}
    return json.dumps({"inputs": [tensor], **extra}).encode()


def decoded(content: bytes, *, model: schema.Schema = FLOATS, header: bytes | None = None) -> signature.Decoded:
    return decode.Decoder(model, stacked=True).decode(content, header)


def refusal(content: bytes, *, model: schema.Schema = FLOATS, header: bytes | None = None) -> str:
    with pytest.raises(errors.RequestError) as caught:
        decoded(content, model=model, header=header)
    assert caught.value.status == 400
    assert caught.value.outcome == "rejected"
    return str(caught.value)


@pytest.mark.parametrize("data", [[1.5, 2], [[1.5, 2]]], ids=["flat", "nested"])
def test_flat_and_nested_data_are_the_same(data: Any) -> None:
    assert decoded(body(data)).values == [[1.5, 2]]


def test_an_absent_id_is_left_to_the_transport() -> None:
    assert decoded(body([1, 2])).id == ""
    assert decoded(body([1, 2], id="mine")).id == "mine"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"inputs": [{"name": "\xc1"}]}', "can't decode byte 0xc1"),
        (b"", "no V2 inference request"),
        (b"[]", "no V2 inference request"),
        (b"{}", "inputs"),
        (b'{"inputs": []}', "['x'] are missing"),
        (body([1, 2], shape=[1, 3]), "must be [-1, 2]"),
        (body([1, 2], shape=[2]), "must be [-1, 2]"),
        (body([], shape=[0, 2]), "at least one row"),
        (body([1, 2], shape=[-1, 2]), "must be [-1, 2]"),
        (body([1, 2, 3]), "has 3 elements"),
        (body([1, None]), "null at position 1"),
        (body([1, "2"]), "str at position 1"),
        (body([1, True]), "bool at position 1"),
        (body([[1], [2, 3]], shape=[2, 2]), "does not fit its shape"),
        (body([[1, 2], 3], shape=[2, 2]), "does not fit its shape"),
        (body({"a": 1}), "must have an array"),
        (body([1, 2], datatype="FP64"), "must be FP32"),
        (body([1, 2]).replace(b'"x"', b'"z"'), "is not an input of the model"),
        (body([1, 2], outputs=[{"name": "z"}]), "output 'z' is not one of ['y']"),
        (body([1, 2], outputs=[{"name": "y", "parameters": {"classification": 3}}]), "classification is not supported"),
        (b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [NaN, 1]}]}', "no V2"),
        (b'{"inputs": ' + b"[" * 100_000, "no V2 inference request|nested too deeply"),
    ],
)
def test_a_mistake_is_named(content: bytes, words: str) -> None:
    text = refusal(content)
    assert any(word in text for word in words.split("|"))


def test_an_input_given_twice_is_refused() -> None:
    document = json.loads(body([1, 2]))
    document["inputs"] *= 2
    assert "given twice" in refusal(json.dumps(document).encode())


@pytest.mark.parametrize("value", [1.5, 1.0, True, "1", None], ids=str)
def test_integers_are_neither_rounded_nor_parsed(value: object) -> None:
    assert "every element must be INT64" in refusal(body([value, 1], datatype="INT64"), model=one("INT64"))


def test_fp16_needs_a_binary_tensor() -> None:
    assert "binary" in refusal(body([1, 2], datatype="FP16"), model=one("FP16"))


def binary(
    part: bytes, *, datatype: str = "FP32", shape: list[int] | None = None, **parameters: Any
) -> tuple[bytes, bytes]:
    tensor = {
        "name": "x",
        "shape": shape or [1, 2],
        "datatype": datatype,
        "parameters": {"binary_data_size": len(part), **parameters},
    }
    header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return header + part, str(len(header)).encode()


def test_a_binary_tensor_arrives_unchanged() -> None:
    values = np.array([1.5, -2], np.float32)
    content, header = binary(values.tobytes())
    result = decoded(content, header=header)
    assert np.array_equal(result.values[0], values)
    assert result.reply == signature.Reply(((0, True),), uniform=True)


def test_a_raw_body_is_the_tensor_of_a_single_input_model() -> None:
    result = decoded(np.arange(6, dtype=np.float32).tobytes(), header=b"0")
    assert result.shapes == [(3, 2)]
    assert result.reply.outputs == ((0, True),)


def test_strings_travel_with_their_lengths() -> None:
    part = b"\x02\x00\x00\x00hi\x00\x00\x00\x00"
    content, header = binary(part, datatype="BYTES")
    assert list(decoded(content, model=one("BYTES"), header=header).values[0]) == ["hi", ""]


@pytest.mark.parametrize(
    ("part", "datatype", "words"),
    [
        (b"\x00" * 7, "FP32", "not a whole number"),
        (b"\x00" * 4, "FP32", "has 1 elements"),
        (b"\x02\x01", "BOOL", "must be 0 or 1"),
        (b"\xff\xff\xff\xff", "BYTES", "announces 4294967295 bytes"),
        (b"\x01\x00", "BYTES", "lacks its four-byte length"),
        (b"\x01\x00\x00\x00\xff", "BYTES", "not UTF-8"),
    ],
)
def test_a_malformed_binary_tensor_is_named(part: bytes, datatype: str, words: str) -> None:
    content, header = binary(part, datatype=datatype)
    assert words in refusal(content, model=one(datatype), header=header)


@pytest.mark.parametrize("header", [b"x", b"-1", b"", b"99999", b"1e3", b"+5"], ids=repr)
def test_a_header_length_that_makes_no_sense_is_refused(header: bytes) -> None:
    assert "Inference-Header-Content-Length" in refusal(body([1, 2]), header=header)


def test_bytes_left_over_are_refused() -> None:
    content, header = binary(np.zeros(2, np.float32).tobytes())
    assert "3 bytes more" in refusal(content + b"abc", header=header)


def test_a_size_beyond_the_body_is_refused() -> None:
    content, header = binary(np.zeros(2, np.float32).tobytes(), binary_data_size=99)
    assert "left" in refusal(content, header=header)


def test_a_binary_size_without_the_header_is_refused() -> None:
    content, header = binary(b"")
    assert "Inference-Header-Content-Length is missing" in refusal(content[: int(header)])


def test_inputs_with_different_numbers_of_rows_are_refused() -> None:
    model = schema.Schema(
        inputs=(schema.TensorSpec("a", "FP32", (-1,)), schema.TensorSpec("b", "FP32", (-1,))),
        outputs=(schema.TensorSpec("y", "FP32", (-1,)),),
    )
    tensors = [
        {"name": "a", "shape": [1], "datatype": "FP32", "data": [1]},
        {"name": "b", "shape": [2], "datatype": "FP32", "data": [1, 2]},
    ]
    assert "same number of rows" in refusal(json.dumps({"inputs": tensors}).encode(), model=model)
