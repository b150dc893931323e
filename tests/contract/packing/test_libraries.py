"""Models of the other libraries, by their own exporters, pass the trial with their own answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.contract.packing import laptop

pytestmark = laptop.needed
SCRIPT = Path(__file__).with_name("laptop_models.py")


def packed(case: str, folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(laptop.run(SCRIPT, case, folder=folder).splitlines()[-1])
    return told


@pytest.mark.parametrize(
    ("case", "labels"),
    [
        ("xgboost_classifier", [0, 1, 2]),
        ("xgboost_regressor", None),
        ("xgboost_file", [0, 1, 2]),
        ("xgboost_in_a_pipeline", [0, 1, 2]),
        ("lightgbm_classifier", ["leaves", "stays"]),
        ("lightgbm_regressor", None),
        ("lightgbm_file", [0, 1]),
        ("lightgbm_in_a_pipeline", [0, 1, 2]),
        ("catboost_classifier", ["leaves", "stays"]),
        ("catboost_regressor", None),
        ("catboost_file", ["leaves", "stays"]),
        ("mlflow_folder", ["leaves", "stays"]),
    ],
)
def test_a_model_of_another_library_passes_its_trial(tmp_path: Path, case: str, labels: list[Any] | None) -> None:
    told = packed(case, tmp_path)
    assert "tests passed" in told.get("trial", ""), told
    assert told["differing"] == 0
    assert told["card"].get("labels") == labels
    assert [feature["name"] for feature in told["card"]["features"]] == ["age", "income", "debt", "visits"]


def test_a_registered_model_is_known_by_its_run(tmp_path: Path) -> None:
    told = packed("mlflow_registered", tmp_path)
    assert "tests passed" in told.get("trial", ""), told
    provenance = told["card"]["provenance"]["mlflow"]
    assert provenance["uri"] == "models:/churn/1"
    assert len(provenance["run"]) == 32


def test_the_run_of_a_tracking_server_is_the_lineage(tmp_path: Path) -> None:
    told = packed("mlflow_served", tmp_path)
    assert "tests passed" in told.get("trial", ""), told
    provenance = told["card"]["provenance"]
    run = provenance["mlflow"]
    assert (run["uri"], run["parameters"]) == ("models:/churn/1", {"C": "0.5", "penalty": "l2"})
    assert run["code"]["revision"] == provenance["code"]["revision"] == "3f1c2d4"
    assert [(one["name"], one["context"], one["source"]) for one in run["datasets"]] == [
        ("churn", "training", "s3://datasets/churn.csv")
    ]


def test_categories_of_catboost_are_refused_with_what_to_do(tmp_path: Path) -> None:
    error = packed("catboost_of_categories", tmp_path)["error"]
    assert "CatBoost writes no graph of a model with cat_features: encode them as numbers" in error
