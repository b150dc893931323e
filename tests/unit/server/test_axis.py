"""What the first dimension is, is found by trying: rows in any number, in a fixed number, or no rows at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.unit.server import graphs

from seatrial_server.model import axis, schema, session

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
FREE, NONE = schema.Axis("free"), schema.Axis("none")


def graph(
    *nodes: Any, x: list[Any], y: list[Any] | None = None, more: dict[str, Any] | None = None, **constants: Any
) -> bytes:
    """x -> y."""
    element = INT64 if nodes[0].op_type == "NonZero" else FLOAT
    made = graphs.model(
        list(nodes),
        inputs={"x": (FLOAT, x), **(more or {})},
        outputs={"y": (element, [] if y is None else y)},
        constants={name: np.array(value) for name, value in constants.items()},
    )
    if y is None:
        made.graph.output[0].type.tensor_type.ClearField("shape")
    content: bytes = made.SerializeToString()
    return content


def found(content: bytes, rows: Any = None) -> axis.Found:
    model = session.load(content)
    return axis.find(model, rows)


def node(kind: str, *inputs: str, **attributes: Any) -> Any:
    return helper.make_node(kind, list(inputs), ["y"], **attributes)


def changed(kind: str, x: list[Any], y: list[Any] | None = None, **attributes: Any) -> bytes:
    """A graph of one node."""
    return graph(node(kind, "x", **attributes), x=x, y=y)


def scaled(shape: list[Any]) -> bytes:
    """x [N, 2] times k."""
    return graph(node("Mul", "x", "k"), x=["N", 2], y=["N", 2], more={"k": (FLOAT, shape)})


CASES = {
    "rows": (graphs.linear(), FREE),
    "rows of one index": (graphs.lookup(), FREE),
    "texts": (graphs.echo(TensorProto.STRING), FREE),
    "two inputs": (graphs.two_inputs(), FREE),
    "rows by another name": (changed("Neg", ["N", 2], ["M", 2]), FREE),
    "an output of which nothing is declared": (changed("Neg", ["N", 2]), FREE),
    "rows that depend on each other": (graphs.mean_removed(), NONE),
    "a sequence": (graph(node("CumSum", "x", "zero"), x=["T"], y=["T"], zero=0), NONE),
    "detections": (changed("NonZero", ["N", 3]), NONE),
    "a vector": (changed("ReduceMean", [512], [], keepdims=0), NONE),
    "a scalar": (changed("Neg", [], []), NONE),
    "height first": (changed("Transpose", [48, 64, 3], [3, 48, 64], perm=[2, 0, 1]), NONE),
    "rows and a setting": (scaled([1]), NONE),
    "rows and a scalar": (scaled([]), NONE),
    "one image": (changed("GlobalAveragePool", [1, 3, "H", "W"], [1, 3, 1, 1]), schema.Axis("fixed", 1)),
    "four rows": (changed("Softmax", [4, 3], [4, 3], axis=1), schema.Axis("fixed", 4)),
    "four that depend on each other": (changed("Softmax", [4, 3], [4, 3], axis=0), NONE),
}


@pytest.mark.parametrize(("content", "wanted"), CASES.values(), ids=CASES)
def test_the_axis_is_what_the_answers_show(content: bytes, wanted: schema.Axis) -> None:
    assert found(content).model.axis == wanted


def test_rows_of_the_package_show_what_made_up_ones_cannot() -> None:
    """Answers only lengths that are multiples of five, none of which is made up first."""
    content = graphs.model(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        inputs={"x": (INT64, ["N", "T"])},
        outputs={"y": (INT64, ["N", 3, 5])},
        constants={"shape": np.array([-1, 3, 5], np.int64)},
    ).SerializeToString()
    assert found(content).model.axis == NONE
    shown = found(content, {"x": np.arange(300).reshape(20, 15)})
    assert shown.model.axis == FREE
    assert shown.example is not None
    assert shown.example["x"].shape == (20, 15)


def test_rows_with_one_dimension_more_say_that_the_graph_has_none() -> None:
    rows = {"x": np.ones((7, 4, 3), np.float32)}
    assert found(changed("Softmax", [4, 3], [4, 3], axis=1), rows).model.axis == NONE


def test_the_real_shapes_of_outputs_take_the_place_of_wrong_ones() -> None:
    [output] = found(changed("Neg", ["N", "M"], ["N", 3])).model.outputs
    assert output.shape == (-1, -1)


def test_a_model_that_answers_nothing_has_no_axis_and_no_example() -> None:
    assert found(graphs.lookup(size=0)) == axis.Found(
        schema.Schema(
            inputs=(schema.TensorSpec("index", "INT64", (-1,)),),
            outputs=(schema.TensorSpec("value", "FP32", (-1,)),),
            found=NONE,
        ),
        None,
    )
