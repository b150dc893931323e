"""The steps that need no model: splitting, ranges, archives, provenance."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pandas
import pytest
import yaml

from seatrial.packing import archives, describing, pointers, provenance, sources, splitting, tables


def number(lowest: float, highest: float) -> tables.Column:
    return tables.Column("x", "number", lowest=lowest, highest=highest)


@pytest.mark.parametrize(
    ("column", "reach"),
    [
        (number(18, 99), [0, 180]),
        (number(-1, 1), [-3, 3]),
        (number(0, 1), [0, 2]),
        (number(5, 5), [0, 10]),
        (number(0, 0), [0, 1]),
        (number(1e9, 1e9 + 2), [1e9, 1e9 + 2]),
    ],
    ids=["ages", "around zero", "shares", "one value", "nothing but zero", "digits that three can't tell"],
)
def test_a_range_reaches_one_span_beyond_the_data_and_never_cuts_it(column: tables.Column, reach: list[float]) -> None:
    assert describing.reach(column) == reach


def test_holdout_rows_have_the_classes_in_their_shares_and_are_nothing_else() -> None:
    strata = np.repeat([0, 1, 2], [700, 200, 100])
    parted = splitting.split(1000, strata=strata, seed=0, held_out=False)
    assert np.bincount(strata[parted.holdout]).tolist() == [175, 50, 25]
    assert not set(parted.holdout) & (set(parted.reference) | set(parted.calibration))
    assert len(parted.reference) == len(parted.calibration) == 750


def test_columns_of_any_name_are_kept(tmp_path: Path) -> None:
    feeds = {"file": np.ones((2, 1), np.float32), "mean radius": np.array([["a"], ["b"]], np.object_)}
    with np.load(io.BytesIO(archives.rows(feeds)), allow_pickle=False) as read:
        assert read["file"].tolist() == [[1], [1]]
        assert read["mean radius"].tolist() == [["a"], ["b"]]


def test_an_archive_has_no_times_and_no_owners() -> None:
    content = archives.archive({"b": b"2", "a": b"1"})
    assert content == archives.archive({"a": b"1", "b": b"2"})
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert [(one.name, one.mtime, one.uid, one.uname) for one in archive] == [("a", 0, 0, ""), ("b", 0, 0, "")]


def collected(folder: Path) -> dict[str, object]:
    data = tables.read(folder / "train.csv", columns=["x"])
    model = sources.Given(origin="model.onnx", graph=b"graph")
    return provenance.collect(model=model, data=data, holdout=None, code=folder, environment="numpy==2\n")


def test_provenance_names_the_commit_and_the_pointer_of_the_data(tmp_path: Path) -> None:
    pandas.DataFrame({"x": [1, 2]}).to_csv(tmp_path / "train.csv", index=False)
    pointer = {"outs": [{"md5": "a" * 32, "size": 8, "hash": "md5", "path": "train.csv"}]}
    (tmp_path / "train.csv.dvc").write_text(yaml.safe_dump(pointer))
    assert "code" not in collected(tmp_path)
    for command in (
        ["init", "-q"],
        ["add", "train.csv.dvc"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "data"],
        ["remote", "add", "origin", "https://me:secret@git.example.com/churn"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    found = collected(tmp_path)
    revision = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True).stdout.strip()
    assert found["code"] == {"uri": "https://git.example.com/churn", "revision": revision, "dirty": False}
    assert found["data"]["dvc"] == pointer["outs"][0]
    (tmp_path / "train.csv.dvc").write_text("outs: []")
    assert collected(tmp_path)["code"]["dirty"]


LOCK = """
schema: '2.0'
stages:
  prepare:
    cmd: python prepare.py
    outs:
    - {path: data/train.csv, hash: md5, md5: 0123456789abcdef0123456789abcdef, size: 8}
"""
CONFIG = """
[core]
    remote = store
['remote "store"']
    url = https://me:secret@dvc.example.com/churn/
['remote "other"']
    url = s3://elsewhere
"""


def under_dvc(folder: Path, *, lock: str = LOCK, config: str = CONFIG) -> Path:
    (folder / "data").mkdir()
    (folder / ".dvc").mkdir()
    (folder / "dvc.lock").write_text(lock)
    (folder / ".dvc" / "config").write_text(config)
    path = folder / "data" / "train.csv"
    path.write_text("x\n1\n")
    return path


def test_what_a_pipeline_of_dvc_has_made_is_known_by_its_stage_and_place(tmp_path: Path) -> None:
    assert pointers.of(under_dvc(tmp_path)) == {
        "path": "data/train.csv",
        "hash": "md5",
        "md5": "0123456789abcdef0123456789abcdef",
        "size": 8,
        "stage": "prepare",
        "remote": "https://dvc.example.com/churn/files/md5/01/23456789abcdef0123456789abcdef",
    }


@pytest.mark.parametrize(
    ("lock", "config"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("stages: [1, 2]", CONFIG, id="another form"),
        pytest.param("{", "[core", id="cut off"),
        pytest.param("stages: {a: {outs: [null, {path: 3}]}, b: null}", CONFIG, id="nothing in it"),
        pytest.param("a: &a [*a]", "\x00", id="endless"),
        pytest.param(LOCK.replace("data/train.csv", "data/other.csv"), CONFIG, id="of other files"),
    ],
)
def test_pointers_that_say_nothing_are_as_good_as_none(tmp_path: Path, lock: str, config: str) -> None:
    assert pointers.of(under_dvc(tmp_path, lock=lock, config=config)) == {}


def test_a_file_outside_of_any_repository_has_no_pointers_above_it(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(LOCK)
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "train.csv"
    path.write_text("x\n1\n")
    assert pointers.of(path) == {}


def test_parameters_hold_nothing_that_changes_from_run_to_run() -> None:
    class Estimator:
        def get_params(self) -> dict[str, object]:
            return {"depth": 3, "rate": 0.1, "missing": float("nan"), "inner": object(), "mode": "fast", "none": None}

    assert provenance.parameters(Estimator()) == {
        "depth": 3,
        "inner": "object",
        "missing": "nan",
        "mode": "fast",
        "none": None,
        "rate": 0.1,
    }
