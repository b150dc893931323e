"""What a client gets wrong is refused and counted as `rejected`: it says nothing against the version that serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from onnx import TensorProto, helper
from tests.contract.server import process, test_package, test_trial
from tests.unit.server import graphs, test_dimensions
from tritonclient.utils import InferenceServerException

bench = test_trial.bench

IDS, FLOAT = TensorProto.INT64, TensorProto.FLOAT


def encoder() -> bytes:
    """ids and mask [N, T] -> the sum of what a table of ten has for the ids, where the mask is set."""
    nodes = [
        helper.make_node("Unsqueeze", ["ids", "one"], ["places"]),
        helper.make_node("Gather", ["table", "places"], ["found"]),
        helper.make_node("Squeeze", ["found", "one"], ["words"]),
        helper.make_node("Cast", ["mask"], ["weights"], to=FLOAT),
        helper.make_node("Mul", ["words", "weights"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "last"], ["sum"], keepdims=0),
    ]
    return graphs.model(
        nodes,
        inputs={"ids": (IDS, ["batch", "sequence"]), "mask": (IDS, ["batch", "sequence"])},
        outputs={"sum": (FLOAT, ["batch"])},
        constants={
            "table": np.arange(10, dtype=np.float32),
            "one": np.array([2], np.int64),
            "last": np.array([1], np.int64),
        },
    ).SerializeToString()


def tensor(name: str, values: list[list[int]]) -> dict[str, Any]:
    return {"name": name, "shape": [len(values), len(values[0])], "datatype": "INT64", "data": values}


@pytest.mark.parametrize(
    ("ids", "mask", "words"),
    [
        ([[1, 2, 3]], [[1, 1]], "input 'mask' has size 2 in dimension 1, must be 3 as dimension 1 of input 'ids'"),
        ([[1, 10, 3]], [[1, 1, 1]], "input 'ids', row 0, feature '1': must be in [-10, 9]"),
        ([[1], [-11]], [[1], [1]], "input 'ids', row 1, feature '0': must be in [-10, 9]"),
    ],
)
def test_sizes_that_do_not_fit_and_ids_beyond_the_table_are_the_clients_mistake(
    tmp_path: Path, ids: list[list[int]], mask: list[list[int]], words: str
) -> None:
    (tmp_path / "model.onnx").write_bytes(encoder())
    with process.serving(tmp_path / "model.onnx") as server:
        good = server.infer(tensor("ids", [[1, 2, -1]]), tensor("mask", [[1, 0, 1]]))
        assert (good[0], good[1]["outputs"][0]["data"]) == (200, [10])
        assert server.infer(tensor("ids", [[1, 2, 3]]), tensor("mask", [[1]]))[0] == 200  # one fits any, to this model
        status, answer = server.infer(tensor("ids", ids), tensor("mask", mask))
        assert (status, answer["error"]) == (400, words)
        counted = {
            outcome: server.metric("seatrial_requests_total", outcome=outcome, transport="rest")
            for outcome in ("ok", "rejected", "error")
        }
    assert counted == {"ok": 2, "rejected": 1, "error": 0}


def test_a_name_that_the_graph_gives_to_unrelated_sizes_binds_nobody(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceSum", ["a", "last"], ["left"], keepdims=0),
        helper.make_node("ReduceSum", ["b", "last"], ["right"], keepdims=0),
        helper.make_node("Add", ["left", "right"], ["sum"]),
    ]
    shape = (FLOAT, ["batch", "n"])
    loose = graphs.model(
        nodes,
        inputs={"a": shape, "b": shape},
        outputs={"sum": (FLOAT, ["batch"])},
        constants={"last": np.array([1], np.int64)},
    )
    (tmp_path / "model.onnx").write_bytes(loose.SerializeToString())
    with process.serving(tmp_path / "model.onnx") as server:
        status, answer = server.infer(
            {"name": "a", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]},
            {"name": "b", "shape": [1, 3], "datatype": "FP32", "data": [3, 4, 5]},
        )
    assert (status, answer["outputs"][0]["data"]) == (200, [15])


def test_sizes_outside_of_the_declared_range_are_the_clients_mistake(bench: test_trial.Bench) -> None:
    card = {"dimensions": [{"axis": 1, "range": [4, 8]}]}
    package = test_trial.package(test_dimensions.positions(8), model__yaml=json.dumps(card).encode())
    with process.serving(*test_package.prepared(bench, package)) as server:
        assert server.infer(process.tensor([[0.0] * 8]), model="churn")[0] == 200
        for size in (3, 9):
            status, answer = server.infer(process.tensor([[0.0] * size]), model="churn")
            assert (status, answer["input"]) == (400, "x")
            assert answer["error"] == f"input 'x' has size {size} in dimension 1, must be 4 to 8"
        with grpcclient.InferenceServerClient(server.grpc) as client:
            given = grpcclient.InferInput("x", [1, 9], "FP32")
            given.set_data_from_numpy(np.zeros((1, 9), np.float32))
            with pytest.raises(InferenceServerException, match="size 9 in dimension 1, must be 4 to 8"):
                client.infer("churn", [given])
        described = server.get("/v2/models/churn/openapi.json")[1]["components"]["schemas"]["Input0"]
        assert described["properties"]["shape"]["prefixItems"][1] == {"type": "integer", "minimum": 4, "maximum": 8}
        counted = {
            (outcome, transport): server.metric("seatrial_requests_total", outcome=outcome, transport=transport)
            for outcome in ("rejected", "error")
            for transport in ("rest", "grpc")
        }
    assert counted == {("rejected", "rest"): 2, ("rejected", "grpc"): 1, ("error", "rest"): 0, ("error", "grpc"): 0}
