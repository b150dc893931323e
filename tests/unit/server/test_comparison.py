"""Which answers of two revisions are the same."""

from __future__ import annotations

import numpy as np

from seatrial_server.model import schema
from seatrial_server.protocol.http import answers
from seatrial_server.relay.comparison import Compared, Comparison

NUMBER = schema.Schema(inputs=(), outputs=(schema.TensorSpec("y", "FP32", (-1, 1)),))
SCORES = schema.Schema(inputs=(), outputs=(schema.TensorSpec("p", "FP32", (-1, 2)),))


def column(*values: float) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return [np.array(values, np.float32).reshape(-1, 1)]


def test_numbers_are_held_against_the_range_of_all_answers_so_far() -> None:
    comparison = Comparison(schema.Card(), NUMBER)
    assert comparison.compare(column(0, 100), column(0.5, 100), wanted=(0,)) == Compared(2, 0, (0.005, 0.0))
    found = comparison.compare(column(50), column(52), wanted=(0,))
    assert found is not None
    assert (found.same, found.different) == (0, 1)
    assert np.allclose(found.differences, 0.02)


def test_classes_are_the_same_or_not() -> None:
    comparison = Comparison(schema.Card(task="classification"), SCORES)
    left = [np.array([[0.9, 0.1], [0.4, 0.6]], np.float32)]
    right = [np.array([[0.6, 0.4], [0.8, 0.2]], np.float32)]
    assert comparison.compare(left, right, wanted=(0,)) == Compared(1, 1)


def test_some_of_the_outputs_are_compared_by_what_they_say() -> None:
    card = schema.Card(outputs=schema.OutputNames(label="class", probabilities="p"))
    outputs = (schema.TensorSpec("class", "INT64", (-1,)), *SCORES.outputs)
    comparison = Comparison(card, schema.Schema(inputs=(), outputs=outputs))
    classes = [np.array([0, 1])], [np.array([0, 0])]
    scores = [np.array([[0.9, 0.1], [0.4, 0.6]])], [np.array([[0.6, 0.4], [0.8, 0.2]])]
    assert comparison.compare(*classes, wanted=(0,)) == Compared(1, 1)
    assert comparison.compare(*scores, wanted=(1,)) == Compared(1, 1)


def test_each_output_has_a_range_of_its_own() -> None:
    outputs = tuple(schema.TensorSpec(name, "FP32", (-1, 1)) for name in ("small", "large"))
    comparison = Comparison(schema.Card(task="regression"), schema.Schema(inputs=(), outputs=outputs))
    assert comparison.compare(column(0, 1000), column(0, 1000), wanted=(1,)) == Compared(2, 0, (0.0, 0.0))
    assert comparison.compare(column(0, 1), column(0, 0.5), wanted=(0,)) == Compared(1, 1, (0.0, 0.5))


def test_a_number_that_is_none_is_another_answer() -> None:
    found = Comparison(schema.Card(), NUMBER).compare(column(1), column(np.nan), wanted=(0,))
    assert found == Compared(0, 1)


def test_answers_that_do_not_fit_each_other_are_not_compared() -> None:
    assert Comparison(schema.Card(), NUMBER).compare(column(1, 2), column(1), wanted=(0,)) is None
    assert Comparison(schema.Card(), NUMBER).compare(column(1), [np.array(["x"], np.object_)], wanted=(0,)) is None


def test_an_answer_is_read_whether_it_is_text_or_binary() -> None:
    text = b'{"outputs":[{"name":"y","datatype":"FP32","shape":[2,1],"data":[1,2.5]}]}'
    found = answers.outputs(text, None, NUMBER.outputs)
    assert found is not None
    assert found[0].tolist() == [[1], [2.5]]
    head = b'{"outputs":[{"name":"y","datatype":"FP32","shape":[2,1],"parameters":{"binary_data_size":8}}]}'
    binary = head + np.array([1, 2.5], np.float32).tobytes()
    again = answers.outputs(binary, b"%d" % len(head), NUMBER.outputs)
    assert again is not None
    assert again[0].tolist() == found[0].tolist()
    for content in (b"", b"{", b"[]", b'{"outputs":[]}', b'{"outputs":[{"name":"y"}]}', binary[:-1], text[:-5]):
        assert answers.outputs(content, b"%d" % len(head) if content.startswith(head) else None, NUMBER.outputs) is None
