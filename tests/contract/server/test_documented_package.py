"""The package of docs/reference/model-package.md, built from the page itself, passes its trial and is served."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper
from tests.contract.server import process, test_package, test_trial
from tests.contract.server.process import tensor
from tests.unit.server import graphs

bench = test_trial.bench
PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "model-package.md"
RANDOM = np.random.default_rng(0)
ROWS = np.stack(
    [
        RANDOM.uniform(18, 99, 300),
        RANDOM.uniform(0, 100_000, 300),
        RANDOM.uniform(0, 100_000, 300),
        RANDOM.integers(1, 4, 300),
    ],
    axis=1,
).astype(np.float32)


def block(name: str) -> bytes:
    """The code block of the page that is a file of this name."""
    found = re.search(rf"```yaml {re.escape(name)}\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert found, name
    return found[1].encode()


def loans() -> bytes:
    """x [N, 4] -> label, probabilities: income speaks for, debt against, age a little, region nothing."""
    weights = np.array([[0, 1e-3], [0, 1e-4], [0, -1e-4], [0, 0]], np.float32)
    return graphs.model(
        [
            helper.make_node("MatMul", ["x", "w"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        ],
        inputs={"x": (TensorProto.FLOAT, ["N", 4])},
        outputs={"label": (TensorProto.INT64, ["N"]), "probabilities": (TensorProto.FLOAT, ["N", 2])},
        constants={"w": weights},
    ).SerializeToString()


def test_the_documented_package_passes_its_trial_and_behaves_as_documented(bench: test_trial.Bench) -> None:
    rows = io.BytesIO()
    np.savez(rows, x=ROWS)
    bench.publish(
        test_trial.package(
            loans(),
            model__yaml=block("model.yaml"),
            tests__yaml=block("tests.yaml"),
            reference__npz=rows.getvalue(),
        )
    )
    report = bench.trial()
    assert report["outcome"] == "Passed", report["message"]
    names = [test["name"] for test in report["tests"]]
    assert len(names) == 8
    assert {"known cases: region = 1, the worst of 2", "robustness"} <= set(names)
    with process.serving("--config", bench.config, "--work", bench.work) as server:
        status, answer = server.infer(tensor([[10, 90000, 0, 9]]), model="churn")
        assert (status, answer["parameters"]) == (200, {"degraded": "clipped: age; imputed: region"})
        status, answer = server.infer(tensor([[40, 90000, 2_000_000, 1]]), model="churn")
        documented = json.loads(re.search(r"```json\n(\{\"error\".*?)```", PAGE.read_text(), flags=re.DOTALL)[1])  # type: ignore[index]
        assert status == 400
        assert {**answer, "id": "..."} == documented
        assert server.metric("seatrial_feature_rows_total", feature="age", bin="below", **test_package.LABELS) == 1
