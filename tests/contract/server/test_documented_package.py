"""The package of docs/reference/model-package.md, built from the page itself, passes its trial and is served."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper
from tests.contract.server import process, test_package, test_trial, test_trial_datasets
from tests.contract.server.process import tensor
from tests.unit.server import graphs

from seatrial_server.model import session

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


def test_the_documented_tests_on_datasets_run_as_they_stand(bench: test_trial.Bench) -> None:
    many = np.stack(
        [
            RANDOM.uniform(18, 99, 4000),
            RANDOM.uniform(0, 100_000, 4000),
            RANDOM.uniform(0, 100_000, 4000),
            RANDOM.integers(1, 4, 4000),
        ],
        axis=1,
    ).astype(np.float32)
    label, probabilities = session.load(loans()).run({"x": many})
    right = np.where(RANDOM.random(4000) < probabilities[:, 1], 1, 0)
    right = np.where(np.abs(probabilities[:, 1] - 0.5) < 0.49, label, right)
    holdout = {"x": many, "label": right, "sex": RANDOM.choice(["f", "m"], 4000)}
    files = {
        "reference__npz": test_trial_datasets.rows(x=ROWS),
        "holdout__npz": test_trial_datasets.rows(**holdout, **{"expected:probabilities": probabilities}),
        "regressions__npz": test_trial_datasets.rows(x=many[:50], label=label[:50]),
    }
    bench.publish(
        test_trial.package(loans(), model__yaml=block("model.yaml"), tests__yaml=block("tests on datasets"), **files)
    )
    pinned = test_trial_datasets.rows(x=many, label=right)
    test_trial_datasets.beside(bench, stable=yes_man(), pinned=pinned)
    report = bench.trial()
    assert report["outcome"] == "Passed", report["message"]
    assert report["message"].startswith("10 tests passed")


def yes_man() -> bytes:
    """A stable version that says 1 to everybody."""
    return graphs.model(
        [
            helper.make_node("MatMul", ["x", "w"], ["scores"]),
            helper.make_node("Add", ["scores", "b"], ["shifted"]),
            helper.make_node("Softmax", ["shifted"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["shifted"], ["label"], axis=1, keepdims=0),
        ],
        inputs={"x": (TensorProto.FLOAT, ["N", 4])},
        outputs={"label": (TensorProto.INT64, ["N"]), "probabilities": (TensorProto.FLOAT, ["N", 2])},
        constants={"w": np.zeros((4, 2), np.float32), "b": np.array([0, 1], np.float32)},
    ).SerializeToString()
