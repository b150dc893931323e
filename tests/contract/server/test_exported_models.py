"""Models as their exporters write them by default: served whole, with the library's own answers."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import StringTensorType
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from tests.contract.server import process, test_trial, trial_report
from tests.contract.server.process import Server
from tests.unit.server import graphs

bench = test_trial.bench
ROWS = np.random.default_rng(0).standard_normal((200, 4)).astype(np.float32)
CLASSES = np.where(ROWS[:, 0] + 0.2 * ROWS[:, 1] > 0, "buys", "leaves")
HOLES = np.where(np.random.default_rng(1).random(ROWS.shape) < 0.2, np.float32(np.nan), ROWS)
FOREST = RandomForestClassifier(n_estimators=5, random_state=0)
BOOSTING = HistGradientBoostingClassifier(max_iter=10)
IMPUTER = make_pipeline(SimpleImputer(), LogisticRegression())


def exported(model: BaseEstimator, rows: np.ndarray[Any, Any] = ROWS) -> bytes:
    classes = (CLASSES == "leaves").astype(int) if model is BOOSTING else CLASSES  # its exporter knows numbers only
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        content: bytes = to_onnx(model.fit(rows, classes), rows[:1]).SerializeToString()
    return content


def infer(server: Server, rows: np.ndarray[Any, Any]) -> tuple[int, Any]:
    values = [None if np.isnan(value) else float(value) for value in rows.reshape(-1)]
    return server.infer({"name": "X", "shape": list(rows.shape), "datatype": "FP32", "data": values})


def check(server: Server, model: Any, rows: np.ndarray[Any, Any]) -> None:
    status, answer = infer(server, rows)
    assert status == 200, answer
    label, scores = answer["outputs"]
    assert label["data"] == model.predict(rows).tolist()
    assert np.allclose(scores["data"], model.predict_proba(rows).reshape(-1), atol=1e-5)


@pytest.mark.parametrize(
    ("model", "rows"),
    [
        pytest.param(LogisticRegression(), ROWS, id="logistic regression"),
        pytest.param(FOREST, ROWS, id="forest"),
        pytest.param(BOOSTING, HOLES, id="boosting with missing values"),
        pytest.param(IMPUTER, HOLES, id="imputer with missing values"),
    ],
)
def test_a_default_export_answers_as_the_library_does(tmp_path: Path, model: Any, rows: np.ndarray[Any, Any]) -> None:
    (tmp_path / "model.onnx").write_bytes(exported(model, rows))
    with process.serving(tmp_path / "model.onnx") as server:
        check(server, model, rows[:20])
        assert server.get("/v2/models/model")[1]["outputs"][1] == {
            "name": "output_probability",
            "datatype": "FP32",
            "shape": [-1, 2],
            "parameters": {"labels": [0, 1] if model is BOOSTING else ["buys", "leaves"]},
        }
        with grpcclient.InferenceServerClient(server.grpc) as client:
            assert client.get_model_metadata("model").outputs[1].name == "output_probability"


def test_the_trial_says_what_is_served_in_the_place_of_a_map(bench: test_trial.Bench) -> None:
    bench.publish(exported(LogisticRegression()))
    finished = bench.run("trial")
    assert trial_report.read(finished.stdout)["outcome"] == "Passed"
    assert '"output":"output_probability"' in finished.stdout


def test_a_package_whose_rows_have_holes_passes_and_is_served_with_holes(bench: test_trial.Bench) -> None:
    rows = io.BytesIO()
    np.savez(rows, X=HOLES)
    card = {"task": "classification", "features": [{"name": f"f{column}"} for column in range(4)]}
    files = {"model__yaml": json.dumps(card).encode(), "reference__npz": rows.getvalue()}
    bench.publish(test_trial.package(exported(BOOSTING, HOLES), **files))
    bench.document["model"]["name"] = "model"
    assert bench.trial()["outcome"] == "Passed"
    with process.serving("--config", bench.config, "--work", bench.work) as server:
        check(server, BOOSTING, HOLES[:20])
        status, refusal = server.infer({"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 1e39]})
        assert (status, refusal["code"]) == (400, "NotFinite")


def test_a_linear_model_still_refuses_a_missing_value(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(exported(LogisticRegression()))
    with process.serving(tmp_path / "model.onnx") as server:
        assert infer(server, HOLES[np.isnan(HOLES).any(axis=1)][:1])[0] == 400


def test_a_text_pipeline_is_served_without_the_locale_that_it_asks_for(tmp_path: Path) -> None:
    texts = np.array(["Good wine", "bad beer", "very GOOD", "BAD thing"])
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        content = to_onnx(model, initial_types=[("text", StringTensorType([None]))]).SerializeToString()
    (tmp_path / "model.onnx").write_bytes(content)
    with process.serving(tmp_path / "model.onnx") as server:
        status, answer = server.infer({"name": "text", "shape": [4], "datatype": "BYTES", "data": texts.tolist()})
    assert (status, answer["outputs"][0]["data"]) == (200, [1, 0, 1, 0])
    assert np.allclose(answer["outputs"][1]["data"], model.predict_proba(texts).reshape(-1), atol=1e-5)


def test_an_input_without_rows_is_no_request_of_too_many(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(
        graphs.model(
            [helper.make_node("ReduceMean", ["x"], ["y"], keepdims=0)],
            inputs={"x": (TensorProto.FLOAT, [512])},
            outputs={"y": (TensorProto.FLOAT, [])},
        ).SerializeToString()
    )
    with process.serving(tmp_path / "model.onnx") as server:
        status, answer = server.infer({"name": "x", "shape": [512], "datatype": "FP32", "data": [2.0] * 512})
    assert (status, answer["outputs"][0]["data"]) == (200, [2.0])
