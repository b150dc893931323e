"""Requests of models with rows, with a fixed number of them and without: none is refused for a size that is its own."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.contract.server import process, test_trial
from tests.unit.server import graphs

bench = test_trial.bench
FLOAT = TensorProto.FLOAT


def negated(shape: list[Any], name: str = "x") -> bytes:
    """y = -x."""
    return graphs.model(
        [helper.make_node("Neg", [name], ["y"])], inputs={name: (FLOAT, shape)}, outputs={"y": (FLOAT, shape)}
    ).SerializeToString()


def detections() -> bytes:
    """x [N, 4] -> the places of the numbers that aren't zero, as many as there are."""
    return graphs.model(
        [helper.make_node("NonZero", ["x"], ["t"]), helper.make_node("Transpose", ["t"], ["y"], perm=[1, 0])],
        inputs={"x": (FLOAT, ["H", 4])},
        outputs={"y": (TensorProto.INT64, ["D", 2])},
    ).SerializeToString()


@pytest.mark.parametrize(
    ("declared", "sent"),
    [
        pytest.param([512], [512], id="a vector"),
        pytest.param([480, 64, 3], [480, 64, 3], id="height first"),
        pytest.param([1, 3, "H", "W"], [1, 3, 400, 2], id="one image of any size"),
        pytest.param([300, 2], [300, 2], id="a fixed batch"),
        pytest.param([], [], id="a scalar"),
        pytest.param([1, "T", 4], [1, 0, 4], id="an empty sequence"),
        pytest.param(["N", "T", 4], [2, 0, 4], id="empty rows"),
    ],
)
def test_a_tensor_of_the_declared_shape_is_answered_as_json_and_binary(
    tmp_path: Path, declared: list[Any], sent: list[int]
) -> None:
    (tmp_path / "model.onnx").write_bytes(negated(declared))
    values = np.random.default_rng(0).standard_normal(sent or [1]).astype(np.float32).reshape(sent)
    with process.serving(tmp_path / "model.onnx") as server:
        for _ in range(2):  # the second takes the short way
            status, answer = server.infer(
                {"name": "x", "shape": sent, "datatype": "FP32", "data": values.reshape(-1).tolist()}
            )
            assert (status, answer["outputs"][0]["shape"]) == (200, sent), answer
            assert np.allclose(answer["outputs"][0]["data"], -values.reshape(-1))
        tensor = {"name": "x", "shape": sent, "datatype": "FP32", "parameters": {"binary_data_size": values.nbytes}}
        head = json.dumps({"inputs": [tensor]}).encode()
        for _ in range(2):
            sizes = {"Inference-Header-Content-Length": str(len(head))}
            status, answer = server.post("/v2/models/model/infer", head + values.tobytes(), **sizes)
            assert (status, answer["outputs"][0]["shape"]) == (200, sent), answer


def test_rows_are_bounded_and_things_are_not(tmp_path: Path) -> None:
    for name, content in {"rows": graphs.linear(), "things": detections()}.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
    with process.serving(tmp_path / "rows.onnx") as server:
        many = process.tensor(np.ones((300, 4)).tolist())
        assert server.infer(many, model="rows")[1]["code"] == "TooManyRows"
        none = {"name": "x", "shape": [0, 4], "datatype": "FP32", "data": []}
        assert server.infer(none, model="rows")[0] == 400
    with process.serving(tmp_path / "things.onnx") as server:
        assert server.infer(many, model="things")[1]["outputs"][0]["shape"] == [1200, 2]


def test_a_vector_has_columns_bins_and_a_fallback(bench: test_trial.Bench) -> None:
    """A model without rows: model.yaml, bins and answers speak of its elements."""
    rows = io.BytesIO()
    np.savez(rows, x=np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32))
    card = {
        "features": [{"name": "age", "range": [-9, 9]}, {"name": "income"}, {"name": "debt"}],
        "fallback": {"y": [1, 2, 3]},
    }
    tests = {"robustness": {"cases": 60}}
    files = {"model__yaml": json.dumps(card), "tests__yaml": json.dumps(tests)}
    bench.publish(
        test_trial.package(
            negated([3]), reference__npz=rows.getvalue(), **{name: text.encode() for name, text in files.items()}
        )
    )
    report = bench.trial()
    assert (report["outcome"], report["tests"][0]["outcome"]) == ("Passed", "Pass"), report
    with process.serving("--config", bench.config, "--work", bench.work) as server:
        assert server.infer({"name": "x", "shape": [3], "datatype": "FP32", "data": [0, 0, 0]}, model="churn")[0] == 200
        _, refusal = server.infer({"name": "x", "shape": [3], "datatype": "FP32", "data": [10, 0, 0]}, model="churn")
        assert (refusal["feature"], refusal["row"]) == ("age", 0)
        binned = [
            server.metric("seatrial_feature_rows_total", feature="income", bin=str(place)) for place in range(1, 11)
        ]
        assert sum(binned) == 1
