"""Sizes that `model.yaml` declares of free dimensions: held against the graph, kept by whoever makes rows up."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.unit.server import graphs, test_axis

from seatrial_server.artifact import package
from seatrial_server.engine import examples
from seatrial_server.host import errors
from seatrial_server.model import axis, dimensions, made, schema, session
from seatrial_server.protocol import signature

IDS = schema.TensorSpec("ids", "INT64", (-1, -1))
MASK = schema.TensorSpec("mask", "INT64", (-1, -1))
FIXED = schema.TensorSpec("kind", "INT64", (-1, 2))
MODEL = schema.Schema(inputs=(IDS, MASK, FIXED), outputs=())
SEQUENCE = schema.Dimension(1, (4, 8), "ids")


def sized(*declared: schema.Dimension, model: schema.Schema = MODEL) -> schema.Schema:
    return msgspec.structs.replace(model, sizes=declared)


def positions(entries: int = 8) -> bytes:
    """x [N, T] plus a place in a table of so many entries for each of T."""
    shape = (TensorProto.FLOAT, ["N", "T"])
    constants = {"one": np.array(1), "zero": np.array(0), "table": np.arange(entries, dtype=np.float32)}
    content: bytes = graphs.model(
        _placed("x"), inputs={"x": shape}, outputs={"y": shape}, constants=constants
    ).SerializeToString()
    return content


def _placed(name: str) -> list[Any]:
    return [
        helper.make_node("Shape", [name], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["length"]),
        helper.make_node("Range", ["zero", "length", "one"], ["places"]),
        helper.make_node("Gather", ["table", "places"], ["found"]),
        helper.make_node("Add", [name, "found"], ["y"]),
    ]


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ([schema.Dimension(1, (1, 8), "text")], "no input 'text'"),
        ([schema.Dimension(1, (1, 8))], "must name its input"),
        (
            [schema.Dimension(1, (1, 8), "kind")],
            r"input 'kind' has shape \[-1, 2\]: its free dimensions are \[0\], not 1",
        ),
        ([schema.Dimension(2, (1, 8), "ids")], r"free dimensions are \[0, 1\], not 2"),
        ([schema.Dimension(1, (9, 8), "ids")], "range must be"),
        ([schema.Dimension(1, (None, 0), "ids")], "range must be"),
        ([SEQUENCE, SEQUENCE], "dimension 1 of input 'ids' is declared twice"),
    ],
)
def test_a_declaration_that_does_not_fit_the_graph_is_refused(declared: list[schema.Dimension], words: str) -> None:
    with pytest.raises(errors.Rejected, match=f"model.yaml: dimensions: .*{words}") as caught:
        dimensions.settled(tuple(declared), MODEL)
    assert caught.value.reason == "InvalidModel"


def test_the_only_input_need_not_be_named() -> None:
    model = schema.Schema(inputs=(IDS,), outputs=())
    assert dimensions.settled((schema.Dimension(1, (4, 8)),), model) == (SEQUENCE,)


@pytest.mark.parametrize(
    "document",
    [
        {"axis": -1, "range": [1, 2]},
        {"axis": 1, "range": [-1, 2]},
        {"axis": 1, "range": [1.5, 2]},
        {"axis": 1, "range": [1]},
        {"axis": 1},
        {"axis": 1, "range": [1, 2], "min": 1},
    ],
)
def test_what_is_no_range_of_sizes_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"dimensions": [document]}, schema.Card)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((4, 8), None),
        ((4, None), None),
        ((9, None), "input 'ids' has size 8 in dimension 1, must be 9 or more"),
        ((9, 12), "input 'ids' has size 8 in dimension 1, must be 9 to 12"),
        ((None, 7), "input 'ids' has size 8 in dimension 1, must be 0 to 7"),
    ],
)
def test_a_request_of_another_size_is_refused_by_input_dimension_and_range(
    given: tuple[int | None, int | None], words: str | None
) -> None:
    checks = signature.Signature(sized(schema.Dimension(1, given, "ids")), stacked=True)
    shapes = [(3, 8), (3, 20), (3, 2)]
    if words is None:
        assert checks.rows(shapes) == 3
        return
    with pytest.raises(errors.RequestError) as caught:
        checks.rows(shapes)
    assert (caught.value.status, caught.value.outcome, str(caught.value)) == (400, "rejected", words)
    assert caught.value.details["input"] == "ids"


def test_made_up_rows_and_examples_keep_the_declared_sizes() -> None:
    model = session.load(positions())
    model.schema = sized(schema.Dimension(1, (4, 8), "x"), model=model.schema)
    assert {feeds["x"].shape[1] for feeds in made.feeds(model.schema)} == {4, 8}
    assert model.schema.example(2)["x"].shape == (2, 4)
    shown = examples.find(model, [None], {})
    assert shown is not None
    assert shown["x"].shape == (1, 4)


def test_rows_of_the_package_must_have_a_declared_size() -> None:
    model = sized(schema.Dimension(1, (4, 8), "x"), model=session.load(positions()).schema)
    assert package.as_feeds({"x": np.zeros((3, 8))}, model, source="reference.npz")
    assert package.as_feeds({"x": np.zeros((3, 2, 8))}, model, source="reference.npz")
    for shape in ((3, 9), (3, 2, 9)):
        with pytest.raises(errors.Rejected, match=r"size 9 in dimension 1, .* declares 4 to 8"):
            package.as_feeds({"x": np.zeros(shape)}, model, source="reference.npz")


def test_a_first_dimension_with_declared_sizes_counts_no_rows() -> None:
    """A recording of at least so many samples: nobody could tell them from rows by trying."""
    model = session.load(test_axis.changed("Neg", ["samples"], ["samples"]))
    assert axis.find(model, None).model.axis.kind == "free"
    model.schema = sized(schema.Dimension(0, (16, 32), "x"), model=model.schema)
    found = axis.find(model, None)
    assert (found.model.axis.kind, found.model.sizes) == ("none", model.schema.sizes)
    assert found.example is not None
    assert found.example["x"].shape == (1, 16)
    with pytest.raises(errors.Rejected, match="one dimension more than the graph"):
        package.as_feeds({"x": np.zeros(20)}, model.schema, source="reference.npz")


def test_sizes_that_must_be_equal_are_found_at_the_end_of_their_range() -> None:
    shape = (TensorProto.FLOAT, ["N", "T"])
    content = graphs.model(
        [helper.make_node("Add", ["x", "z"], ["sum"]), *_placed("sum")],
        inputs={"x": shape, "z": shape},
        outputs={"y": shape},
        constants={"one": np.array(1), "zero": np.array(0), "table": np.arange(8, dtype=np.float32)},
    ).SerializeToString()
    model = session.load(content)
    model.schema = sized(*(schema.Dimension(1, (1, 8), name) for name in "xz"), model=model.schema)
    full = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    [group] = axis.find(model, {"x": full, "z": full}).model.alike
    assert {place.input for place in group} == {"x", "z"}
