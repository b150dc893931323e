"""Graphs of tensors, packed with rows as arrays: what is written beside them, and what is refused."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper
from tests.unit.server import graphs, prepared

from seatrial import packing
from seatrial_server.model import declared, schema
from seatrial_server.trial import data, subject

FLOAT = TensorProto.FLOAT
RANDOM = np.random.default_rng(0)


def means(shape: list[Any]) -> bytes:
    """image -> mean of the pixels of each."""
    batched = len(shape) > 2
    axes, left = list(range(int(batched), len(shape))), shape[: int(batched)]
    made = graphs.model(
        [helper.make_node("ReduceMean", ["image"], ["mean"], axes=axes, keepdims=0)],
        inputs={"image": (FLOAT, shape)},
        outputs={"mean": (FLOAT, left)},
    )
    made.opset_import[0].version = 13
    return made.SerializeToString()


def images(*shape: int) -> Any:
    return RANDOM.random(shape).astype(np.float32)


def packed(tmp_path: Path, content: bytes, arrays: Any, **more: Any) -> dict[str, bytes]:
    """The package's files."""
    (tmp_path / "model.onnx").write_bytes(content)
    made = packing.pack(tmp_path / "model.onnx", data=arrays, out=tmp_path / "means-3.tar.gz", **more)
    with tarfile.open(made.path) as archive:
        return {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]


def rows_of(files: dict[str, bytes], name: str) -> dict[str, Any]:
    with np.load(io.BytesIO(files[f"{name}.npz"])) as archive:
        return {key: archive[key] for key in archive.files}


@pytest.mark.parametrize(
    ("shape", "rows"),
    [
        pytest.param(["N", 3, 4, 4], (70, 3, 4, 4), id="images in a batch of any size"),
        pytest.param([1, 3, 4, 4], (7, 3, 4, 4), id="images one by one"),
        pytest.param([8, 3, 4, 4], (21, 3, 4, 4), id="images in batches of eight"),
        pytest.param(["H", "W"], (5, 9, 6), id="images without a batch"),
    ],
)
def test_the_graphs_own_answers_are_written_and_asked_for_again(
    tmp_path: Path, shape: list[Any], rows: tuple[int, ...]
) -> None:
    content, given = means(shape), images(*rows)
    np.savez(tmp_path / "rows.npz", image=given)
    files = packed(tmp_path, content, tmp_path / "rows.npz")
    reference = rows_of(files, "reference")
    pixels = reference["image"].reshape(len(reference["image"]), -1)
    assert np.allclose(reference["expected:mean"].reshape(-1), pixels.mean(axis=1))
    asked = yaml.safe_load(files["tests.yaml"])
    [test] = asked["data"]
    assert test["dataset"] == "reference"
    assert set(test["parity"]) == {"maxDelta", "maxFailRate"}
    assert ("invariance" in asked) is (shape[0] == "N")
    folder = tmp_path / "package"
    folder.mkdir()
    for name, file in files.items():
        (folder / name).write_bytes(file)
    served = subject.Subject(prepared.loaded(content), schema.Card(), folder, made=prepared.described(content))
    assert data.evaluate(msgspec.convert(test, declared.DataTest), served).outcome == "Pass"
    other = np.load(folder / "reference.npz")
    np.savez(folder / "reference.npz", **{**other, "expected:mean": other["expected:mean"] + 0.5})
    again = subject.Subject(prepared.loaded(content), schema.Card(), folder, made=prepared.described(content))
    assert data.evaluate(msgspec.convert(test, declared.DataTest), again).outcome == "Fail"


def test_with_labels_there_are_holdout_rows(tmp_path: Path) -> None:
    arrays = {"image": images(80, 2, 2), "kind": np.array(["cat", "dog"] * 40)}
    files = packed(tmp_path, means(["N", 2, 2]), arrays, target="kind")
    holdout = rows_of(files, "holdout")
    assert sorted(holdout["label"].tolist()) == ["cat"] * 10 + ["dog"] * 10
    assert yaml.safe_load(files["model.yaml"])["task"] == "classification"
    assert yaml.safe_load(files["model.yaml"])["provenance"]["data"]["rows"] == 80


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    arrays = {"image": images(40, 2, 2)}
    assert packed(tmp_path, means(["N", 2, 2]), arrays) == packed(tmp_path, means(["N", 2, 2]), arrays)


def test_texts_and_whole_numbers_are_taken_as_the_graph_wants_them(tmp_path: Path) -> None:
    made = graphs.model(
        [helper.make_node("Identity", ["words"], ["same"]), helper.make_node("Identity", ["ids"], ["as_given"])],
        inputs={"words": (TensorProto.STRING, ["N", 2]), "ids": (TensorProto.INT64, ["N", "T"])},
        outputs={"same": (TensorProto.STRING, ["N", 2]), "as_given": (TensorProto.INT64, ["N", "T"])},
    ).SerializeToString()
    arrays = {"words": np.array([["a", "bc"]] * 9), "ids": np.arange(27, dtype=np.int32).reshape(9, 3)}
    reference = rows_of(packed(tmp_path, made, arrays), "reference")
    assert reference["expected:same"].tolist() == [["a", "bc"]] * 9
    assert reference["ids"].dtype == np.int64


def test_outputs_without_an_answer_of_one_shape_for_each_row_are_left_out_and_said(tmp_path: Path) -> None:
    made = graphs.model(
        [helper.make_node("NonZero", ["x"], ["places"]), helper.make_node("Identity", ["x"], ["y"])],
        inputs={"x": (FLOAT, ["N", 2])},
        outputs={"places": (TensorProto.INT64, [2, "P"]), "y": (FLOAT, ["N", 2])},
    ).SerializeToString()
    (tmp_path / "model.onnx").write_bytes(made)
    done = packing.pack(tmp_path / "model.onnx", data={"x": images(90, 2)}, out=tmp_path / "m.tar.gz")
    assert any("no answers of places are kept" in line for line in done.findings)


@pytest.mark.parametrize(
    ("arrays", "more", "words"),
    [
        pytest.param({"picture": images(4, 2, 2)}, {}, "no arrays 'image'", id="another name"),
        pytest.param({"image": images(4, 3)}, {}, "has shape [4, 3]", id="another shape"),
        pytest.param({"image": images(4, 2, 3)}, {}, "has shape [4, 2, 3]", id="another size"),
        pytest.param({"image": images(4, 2, 2), "label": np.zeros(3)}, {}, "same number of rows", id="other lengths"),
        pytest.param({"image": images(0, 2, 2)}, {}, "at least one", id="nothing"),
        pytest.param({"image": np.array([["a"]])}, {}, "the model takes tensor(float)", id="text"),
        pytest.param({"image": images(4, 2, 2)}, {"target": "y"}, "--target 'y'", id="no such label"),
        pytest.param({"image": images(4, 2, 2)}, {"features": ["a"]}, "--features", id="columns"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(tmp_path: Path, arrays: Any, more: dict[str, Any], words: str) -> None:
    with pytest.raises(packing.PackError) as refused:
        packed(tmp_path, means(["N", 2, 2]), arrays, **more)
    assert words in str(refused.value)
    assert not (tmp_path / "means-3.tar.gz").exists()


def test_a_file_of_pickles_and_an_estimator_with_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", image=np.array([{}], object))
    with pytest.raises(packing.PackError, match="cannot be read"):
        packed(tmp_path, means(["N", 2, 2]), tmp_path / "rows.npz")

    class Estimator:
        classes_ = (0, 1)
        n_features_in_ = 2

        def predict(self, rows: Any) -> Any:
            raise AssertionError("not asked")

    with pytest.raises(packing.PackError, match="takes a table"):
        packing.pack(Estimator(), data={"image": images(4, 2, 2)}, out=tmp_path / "m.tar.gz")
