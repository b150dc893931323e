"""The precision that a model is said to be served in is that of its weights."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.unit.server import graphs

from seatrial_server.prepare import precision


def multiplied(dtype: type, *, constant: bool = False) -> onnx.GraphProto:
    weights, kind = np.ones((4, 2), dtype), helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    if constant:
        nodes.insert(0, helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(weights)))
    return graphs.model(
        nodes,
        inputs={"x": (kind, ["N", 4])},
        outputs={"y": (kind, ["N", 2])},
        constants={} if constant else {"w": weights, "axes": np.ones(1000, np.int64)},
    ).graph


@pytest.mark.parametrize("constant", [False, True], ids=["initializers", "constants"])
@pytest.mark.parametrize(("dtype", "name"), [(np.float16, "fp16"), (np.float32, "fp32"), (np.float64, "fp64")])
def test_it_is_the_type_of_the_weights(dtype: type, name: str, constant: bool) -> None:
    assert precision.of(multiplied(dtype, constant=constant)) == name


def test_weights_in_a_branch_count() -> None:
    branch = multiplied(np.float16)
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    assert precision.of(helper.make_graph([node], "outer", [], [])) == "fp16"


def test_a_graph_without_weights_is_as_before() -> None:
    assert precision.of(onnx.load_from_string(graphs.echo(TensorProto.INT64)).graph) == "fp32"
