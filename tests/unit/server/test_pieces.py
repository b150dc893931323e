"""A large JSON body is read in pieces; what comes of it is what comes of a small one."""

from __future__ import annotations

import itertools
import json
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from seatrial_server.engine import conversion
from seatrial_server.host import errors
from seatrial_server.model import schema
from seatrial_server.protocol.http import decode, pieces

MODEL = schema.Schema(
    inputs=(
        schema.TensorSpec(name="x", datatype="FP32", shape=(schema.FREE, 2, 3)),
        schema.TensorSpec(name="n", datatype="INT64", shape=(schema.FREE,)),
    ),
    outputs=(schema.TensorSpec(name="y", datatype="FP32", shape=(schema.FREE, 1)),),
)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", 8)


def outcome(body: bytes, *, large: bool) -> Any:
    """The arrays, or that there are none: which of two mistakes is named may differ."""
    decoder = decode.Decoder(MODEL, stacked=True, nullable=frozenset({"x"}))
    try:
        found = decoder.decode_large(body, None, reserve=lambda _: None) if large else decoder.decode(body, None)
        values = [
            conversion.Converter(spec).joined([value]) for spec, value in zip(MODEL.inputs, found.values, strict=True)
        ]
    except errors.RequestError as error:
        return error.status
    return found.id, found.rows, found.shapes, [repr(value.tolist()) for value in values]


def request(x: str, n: str = "[1]", *, shape: str = "[1,2,3]", more: str = "") -> bytes:
    return (
        f'{{"id":"i","inputs":[{{"name":"x","shape":{shape},"datatype":"FP32","data":{x}}},'
        f'{{"data" : {n} ,"name":"n","shape":[1],"datatype":"INT64"}}]{more}}}'
    ).encode()


@pytest.mark.parametrize(
    "body",
    [
        request("[1,2.5,-3e0,4,5,6]"),
        request("[ [ [1,2,3] , [4,5,6] ] ]"),
        request("[[[1,2,3],[4,5,6]],[[1,2,3],[4,5,null]]]", shape="[2,2,3]"),
        request("[[1,2,3],[4,5,6]]"),
        request("[[[1,2,3,4,5,6]]]"),
        request("[[[1,2],[3,4],[5,6]]]"),
        request("[[[1,2,3]],[[4,5,6]]]"),
        request("[1,2,3,4,5]"),
        request("[1,2,3,4,5,6,7]"),
        request("[1,2,3,true,5,6]"),
        request("[1,2,3,{},5,6]"),
        request('[1,2,3,"a",5,6]'),
        request("[1,2,,3,5,6]"),
        request("[1,2,3,4,5,6,]"),
        request("[1,2,3 4,5,6,7]"),
        request("[1[,2,3],[4,5,6]]"),
        request("[[[1,2,3],[4,5,6]]"),
        request("[[[1,2,3],[4,5,6]]]]"),
        request("[1,2,3,4,5,6]]"),
        request("[1,2,3,4,5,6", ""),
        request("[1,2,3,4,5,99999999999]", "[123456789012]"),
        request("[1,2,3,4,5,6]", "[1.5000000000]"),
        request("[1,2,3,4,5,6]", "[99999999999999999999]"),
        request("[1,2,3,4,5,6]", more=',"parameters":{"data":[1,2,3,4,5,6,7]}'),
        request("[1,2,3,4,5,6]", more=',"parameters":{"a\\"data":[1,2,3,4,5,6,7]}'),
        request("[1,2,3,4,5,6]", more=',"other":"\\"data\\":[1,2,3,4,5,6,7]"'),
        request("[]"),
        request("[         ]"),
        request('"data"'),
        b'"data":[1,2,3,4,5,6,7,8]',
        b"[" * 100,
    ],
    ids=lambda body: body.decode()[:90],
)
def test_every_body_ends_as_a_small_one_would(body: bytes) -> None:
    assert outcome(body, large=True) == outcome(body, large=False)


TOKENS = st.sampled_from([*"[]", *"[]", ",", ",", "1", "2.5", " ", "null", "true", '"a"', "{", "}", "-", "e5", "NaN"])


@pytest.mark.long
@hypothesis.given(
    shape=st.lists(st.integers(1, 3), min_size=1, max_size=1),
    place=st.integers(0, 60),
    inserted=st.lists(TOKENS, max_size=3).map("".join),
    removed=st.integers(0, 3),
    nested=st.booleans(),
)
@hypothesis.settings(max_examples=500, deadline=None, derandomize=True)
def test_mutilated_arrays_are_never_understood_in_another_way(
    shape: list[int], place: int, inserted: str, removed: int, nested: bool
) -> None:
    array = np.arange(shape[0] * 6, dtype=float).reshape(shape[0], 2, 3)
    text = json.dumps(array.tolist() if nested else array.reshape(-1).tolist())
    place %= len(text)
    body = request(text[:place] + inserted + text[place + removed :], shape=f"[{shape[0]},2,3]")
    assert outcome(body, large=True) == outcome(body, large=False)


def test_memory_is_asked_for_before_it_is_taken() -> None:
    asked: list[int] = []
    decoder = decode.Decoder(MODEL, stacked=True)
    rows = 1000
    body = request(json.dumps(list(itertools.repeat(1, rows * 6))), json.dumps([1] * rows), shape=f"[{rows},2,3]")
    found = decoder.decode_large(body.replace(b'"shape":[1]', b'"shape":[1000]'), None, reserve=asked.append)
    assert found.rows == rows
    assert sum(asked) >= rows * 6 * 4 + rows * 8


def test_what_is_no_array_of_numbers_is_charged_for_what_it_may_become() -> None:
    asked: list[int] = []
    body = request("[1,2,3,4,5,6]", more=f',"parameters":{{"p":[{",".join(["{}"] * 10_000)}]}}')
    decode.Decoder(MODEL, stacked=True).decode_large(body, None, reserve=asked.append)
    assert max(asked) > 10 * len(body)
