"""A request that equals an earlier one but for its numbers gets what the general way would give it, always."""

from __future__ import annotations

import json
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from seatrial_server.engine import conversion
from seatrial_server.host import errors
from seatrial_server.model import schema
from seatrial_server.protocol.http import decode


def of_columns(columns: int) -> schema.Schema:
    return schema.Schema(
        inputs=(schema.TensorSpec(name="x", datatype="FP32", shape=(schema.FREE, columns)),),
        outputs=(schema.TensorSpec(name="y", datatype="FP32", shape=(schema.FREE, 1)),),
    )


MODEL = of_columns(3)
HEAD, TAIL = '{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[', "]}]}"


def trained(model: schema.Schema = MODEL, body: str = f"{HEAD}1,2,3{TAIL}") -> decode.Decoder:
    result = decode.Decoder(model, stacked=True)
    result.decode(body.encode(), None)
    return result


def outcome(decoder: decode.Decoder, *bodies: bytes) -> list[Any]:
    """The numbers of each body alone, or the message of its refusal."""
    result: list[Any] = []
    for body in bodies:
        try:
            [values] = decoder.decode(body, None).values
            result.append(conversion.Converter(decoder.schema.inputs[0]).joined([values]).tolist())
        except errors.RequestError as error:
            result.append(str(error))
    return result


def test_numbers_of_a_known_request_stay_text_until_the_batch() -> None:
    decoder = trained()
    parts = [decoder.decode(f"{HEAD}{text}{TAIL}".encode(), None).values[0] for text in ("4,5,6", "7, 8.5 ,-9e0")]
    assert not any(isinstance(part, list) for part in parts)
    joined = conversion.Converter(MODEL.inputs[0]).joined(parts)
    assert (joined.dtype, joined.tolist()) == (np.float32, [4, 5, 6, 7, 8.5, -9])


TEXTS = st.lists(
    st.sampled_from(
        [*"0123456789", *"-+.eE, []{}\"'\n\0", "null", "true", "NaN", "1e400", "1,2,3", "1,2", ",4", "-0.0", "\udcff"]
    ),
    max_size=12,
).map("".join)


@pytest.mark.long
@hypothesis.given(text=TEXTS)
@hypothesis.settings(max_examples=400, deadline=None, derandomize=True)
def test_any_text_in_the_place_of_the_numbers_ends_as_it_would_have_otherwise(text: str) -> None:
    body = f"{HEAD}{text}{TAIL}".encode(errors="surrogateescape")
    [expected] = outcome(decode.Decoder(MODEL, stacked=True), body)
    assert outcome(trained(), body) == [expected]


@pytest.mark.long
@hypothesis.given(text=TEXTS | st.just("1e39,2,3") | st.just("-1e-46,16777217,0.1"))
@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
def test_few_numbers_are_read_as_many_are(text: str) -> None:
    few, more = conversion.FEW, "0," * (conversion.FEW - 2)
    read = []
    for columns, before in ((few + 1, more), (3, "")):
        model, head = of_columns(columns), HEAD.replace("[1,3]", f"[1,{columns}]") + before
        decoder = trained(model, f"{head}1,2,3{TAIL}")
        [outcome_here] = outcome(decoder, f"{head}{text}{TAIL}".encode(errors="surrogateescape"))
        read.append(outcome_here[-3:] if isinstance(outcome_here, list) else "refused")
    assert read[0] == read[1]


@pytest.mark.long
@hypothesis.given(texts=st.lists(TEXTS, min_size=2, max_size=4))
@hypothesis.settings(max_examples=400, deadline=None, derandomize=True)
def test_joined_texts_never_lend_each_other_sense(texts: list[str]) -> None:
    bodies = [f"{HEAD}{text}{TAIL}".encode(errors="surrogateescape") for text in texts]
    alone = outcome(decode.Decoder(MODEL, stacked=True), *bodies)
    decoder = trained()
    try:
        parts = [decoder.decode(body, None).values[0] for body in bodies]
        together = conversion.Converter(MODEL.inputs[0]).joined(parts).tolist()
    except errors.RequestError:
        assert any(isinstance(each, str) for each in alone)
    else:
        assert together == [value for each in alone for value in each]


@pytest.mark.parametrize(
    "body",
    [
        '{"other":{"data":[1,2,3]},"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}',
        '{"other":{"data":[1,2,3]},"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","d\\u0061ta":[1,2,3]}]}',
        '{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","parameters":{"data":[1,2,3]},"data":[1,2,3]}]}',
    ],
)
def test_a_second_place_that_looks_like_the_numbers_is_not_mistaken_for_them(body: str) -> None:
    decoder = decode.Decoder(MODEL, stacked=True)
    changed = body.replace("[1,2,3]", "[9,9,9]", 1)
    assert outcome(decoder, body.encode(), changed.encode()) == [[1, 2, 3], [1, 2, 3]]


def test_many_opening_brackets_are_refused_and_not_followed() -> None:
    wide = schema.Schema(
        inputs=(schema.TensorSpec(name="x", datatype="FP32", shape=(schema.FREE,)),), outputs=MODEL.outputs
    )
    decoder = decode.Decoder(wide, stacked=True)
    head = '{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":['
    decoder.decode(f"{head}1]}}]}}".encode(), None)
    [values] = decoder.decode(f"{head}{'[' * 100_000}1]}}]}}".encode(), None).values
    with pytest.raises(errors.RequestError):
        conversion.Converter(wide.inputs[0]).joined([values])


def test_ids_in_bodies_do_not_fill_the_memory() -> None:
    decoder = trained()
    for number in range(2000):
        request = json.loads(f"{HEAD}1,2,3{TAIL}") | {"id": str(number)}
        assert decoder.decode(json.dumps(request).encode(), None).id == str(number)
    [values] = decoder.decode(f"{HEAD}4,5,6{TAIL}".encode(), None).values
    assert not isinstance(values, list)


def binary(values: list[float], **extra: Any) -> tuple[bytes, bytes]:
    content = np.array(values, np.float32).tobytes()
    tensor = {"name": "x", "shape": [1, 3], "datatype": "FP32", "parameters": {"binary_data_size": len(content)}}
    head = json.dumps({"inputs": [tensor], **extra}).encode()
    return head + content, str(len(head)).encode()


def test_a_known_binary_layout_reads_the_new_values() -> None:
    decoder = decode.Decoder(MODEL, stacked=True)
    for values in ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]):
        body, length = binary(values)
        found = decoder.decode(body, length)
        assert np.asarray(found.values[0]).tolist() == values
        assert (found.rows, found.shapes) == (1, [(1, 3)])


def test_a_known_binary_layout_with_bytes_too_many_is_refused() -> None:
    decoder = decode.Decoder(MODEL, stacked=True)
    body, length = binary([1.0, 2.0, 3.0])
    decoder.decode(body, length)
    for wrong in (body + b"\0", body[:-1]):
        with pytest.raises(errors.RequestError):
            decoder.decode(wrong, length)
