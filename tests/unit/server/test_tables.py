"""Which inputs are places in a table, and how many it has."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.unit.server import graphs

from seatrial_server.prepare import tables


def picking(*before: onnx.NodeProto, rows: int = 7, kind: int = TensorProto.INT64, **gather: int) -> onnx.GraphProto:
    picked = before[-1].output[0] if before else "x"
    return graphs.model(
        [*before, helper.make_node("Gather", ["table", picked], ["y"], **gather)],
        inputs={"x": (kind, ["N"])},
        outputs={"y": (TensorProto.FLOAT, None)},
        constants={"table": np.zeros((rows, 3), np.float32)},
    ).graph


def test_a_table_is_found_behind_what_only_moves_its_places() -> None:
    cast = helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.INT64)
    assert tables.of(picking(cast, helper.make_node("Identity", ["wide"], ["same"]), kind=TensorProto.INT32)) == {
        "x": 7
    }


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        pytest.param(picking(axis=1), {"x": 3}, id="columns"),
        pytest.param(picking(rows=0), {}, id="an empty table"),
        pytest.param(picking(helper.make_node("Abs", ["x"], ["other"])), {}, id="other values"),
        pytest.param(
            picking(helper.make_node("Cast", ["x"], ["t"], to=TensorProto.INT64), kind=TensorProto.FLOAT),
            {},
            id="fractions",
        ),
    ],
)
def test_only_a_tables_own_places_are_bound(graph: onnx.GraphProto, found: dict[str, int]) -> None:
    assert tables.of(graph) == found


def test_the_smallest_of_several_tables_counts() -> None:
    graph = picking()
    graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(5, np.float32), "small"))
    graph.node.append(helper.make_node("Gather", ["small", "x"], ["z"]))
    assert tables.of(graph) == {"x": 5}
