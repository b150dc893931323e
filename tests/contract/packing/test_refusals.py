"""What can't be packed is refused before anything is written, with what to change."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas
import pytest
from click.testing import CliRunner
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import RadiusNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from tests.contract.packing import samples

import seatrial
from seatrial import packing
from seatrial.cli import main

FRAME = samples.customers(300)
TREES = samples.trees(FRAME)
NAMELESS = LogisticRegression(max_iter=5000).fit(FRAME[samples.NUMBERS].to_numpy(), FRAME["churned"])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def changed(**columns: Any) -> pandas.DataFrame:
    return FRAME.assign(**columns)


def aged(row: int, value: Any) -> pandas.DataFrame:
    ages: list[Any] = FRAME["age"].tolist()
    ages[row] = value
    return changed(age=ages)


def with_label(value: Any) -> pandas.DataFrame:
    frame = FRAME.astype({"churned": object})
    frame.loc[7, "churned"] = value
    return frame


@pytest.mark.parametrize(
    ("model", "data", "options", "words"),
    [
        (TREES, FRAME.iloc[:0], {}, "the DataFrame has no rows"),
        (TREES, "nowhere.csv", {}, r"nowhere.csv: there is no such file: give the data as .csv, .csv.gz or .parquet"),
        (TREES, FRAME.drop(columns="age"), {}, r"the data lacks 'age', which the model takes: it has 'income'"),
        (TREES, FRAME, {"target": "left"}, r"--target 'left' is no column of the data, which has 'age'"),
        (TREES, FRAME, {"target": "age"}, "the model was fitted on 'age', which is the target"),
        (TREES, with_label(None), {}, "target 'churned' is missing in 1 of 300 rows, such as row 7 of those read"),
        (TREES, with_label("maybe"), {}, r"target 'churned' holds 'maybe', which the model never answers"),
        (TREES, aged(4, "old"), {}, "column 'age' has values of mixed"),
        (TREES, aged(3, np.inf), {}, "column 'age' is infinite in row 3"),
        (TREES, changed(age=np.nan), {}, "column 'age' is empty: leave it out, or give data that has it"),
        (TREES, aged(3, np.nan), {}, "the model itself fails on the data"),
        (TREES, changed(age=pandas.Timestamp("2026-01-01")), {}, "column 'age' holds times: make numbers of them"),
        (NAMELESS, FRAME, {}, r"the model takes 3 columns, the data has 4 besides the target .*--features"),
        (NAMELESS, FRAME, {"features": ["age", "income", "city"]}, "'city' is text, such as '.*', but the model"),
        (TREES, FRAME.iloc[:1], {}, "the model has 2 classes, the data 1 rows: give more rows"),
        (StandardScaler().fit(FRAME[["age"]]), FRAME, {}, "a StandardScaler is no model: give a fitted estimator"),
        (KMeans(2, n_init=1).fit(FRAME[["age"]]), FRAME, {}, "a KMeans is neither a classifier nor a regressor"),
        (LogisticRegression(), FRAME, {}, "the LogisticRegression isn't fitted: call fit first"),
        (TREES, FRAME, {"out": "model.zip"}, r"the package is a .tar.gz: give it that ending, such as churn-7.tar.gz"),
        (TREES, FRAME, {"push": "ftp://host/file"}, "--push must start with s3://, gs://, az:// or oci://"),
        (TREES, FRAME, {"push": "s3://bucket"}, "--push must be s3://bucket/path"),
    ],
    ids=lambda value: value.split(":")[0][:40] if isinstance(value, str) else "",
)  # fmt: skip
def test_bad_input_is_refused_with_its_remedy(model: Any, data: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(packing.PackError, match=words):
        seatrial.pack(model, data=data, **{"target": "churned", "out": "m-1.tar.gz", **options})
    assert not list(Path.cwd().glob("*.tar.gz"))


def test_a_model_that_has_no_graph_is_refused_by_its_name() -> None:
    model = RadiusNeighborsClassifier(radius=1e6, outlier_label="no").fit(FRAME[samples.NUMBERS], FRAME["churned"])
    model.__class__ = type("Mine", (RadiusNeighborsClassifier,), {"__module__": "sklearn.mine"})
    with pytest.raises(packing.PackError, match=r"Mine cannot be converted: .*convert it yourself and pack the .onnx"):
        seatrial.pack(model, data=FRAME, target="churned", out="m-1.tar.gz")


def pickled(path: Path) -> None:
    joblib.dump(TREES, path)


def of_a_newer_release(path: Path) -> None:
    content = pickle.dumps(TREES)
    state = TREES.__getstate__()
    version = state["_sklearn_version"].encode()
    path.write_bytes(content.replace(version, b"9" + version[1:]))


def of_a_missing_library(path: Path) -> None:
    path.write_bytes(b"cnot_here\nModel\n.")


def cut(path: Path) -> None:
    path.write_bytes(pickle.dumps(TREES)[:500])


def of_something_else(path: Path) -> None:
    path.write_bytes(pickle.dumps({"model": 1}))


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (
            of_a_newer_release,
            r"model.pkl was written with scikit-learn 9.*which may read it wrongly: pip install scikit",
        ),
        (of_a_missing_library, "model.pkl was written with not_here, which isn't installed here"),
        (cut, "model.pkl cannot be read: .*the library's version that wrote it"),
        (of_something_else, "model.pkl holds a dict, which is no model: save the fitted estimator"),
    ],
)
def test_a_pickle_that_cannot_be_trusted_to_answer_is_refused(write: Callable[[Path], None], words: str) -> None:
    write(Path("model.pkl"))
    with pytest.raises(packing.PackError, match=words):
        seatrial.pack("model.pkl", data=FRAME, target="churned")


def test_the_command_ends_with_two_and_one_line() -> None:
    joblib.dump(TREES, "model.joblib")
    FRAME.to_csv("train.csv", index=False)
    done = CliRunner().invoke(main.main, ["pack", "model.joblib", "--data", "train.csv", "--target", "left"])
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("seatrial pack: --target 'left' is no column")


def test_the_help_says_what_reading_a_pickle_means() -> None:
    told = CliRunner().invoke(main.main, ["pack", "--help"]).output
    assert "RUNS WHATEVER CODE ITS AUTHOR PUT INTO IT" in " ".join(told.split())
