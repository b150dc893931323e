"""A large file as a graph and its weights: the same model, none of the weights in memory."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.unit.server import graphs

from seatrial_server.host import errors
from seatrial_server.model import session, weights
from seatrial_server.prepare import verify


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "LARGE", 1000)


ROWS = {"x": np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)}


def test_a_split_model_answers_as_the_whole_one(tmp_path: Path) -> None:
    content = graphs.perceptron()
    (tmp_path / "model.onnx").write_bytes(content)
    graph = verify.read(tmp_path / "model.onnx", weights=tmp_path / "mapped.weights")
    assert graph.split
    small = graph.proto.SerializeToString()
    assert len(small) < 4000 < len(content)
    (tmp_path / "mapped.onnx").write_bytes(small)
    opened = session.load(tmp_path / "mapped.onnx", packed=False)
    assert np.allclose(opened.run(ROWS)[0], session.load(content).run(ROWS)[0], rtol=1e-5, atol=1e-5)
    data = [
        [tensor.raw_data for tensor in model.graph.initializer]
        for model in (onnx.load(str(tmp_path / "mapped.onnx")), onnx.load_from_string(content))
    ]
    assert data[0] == data[1]


@pytest.mark.parametrize("cut", [1, 7, 300, 20_000])
def test_a_cut_file_is_an_invalid_model(tmp_path: Path, cut: int) -> None:
    (tmp_path / "model.onnx").write_bytes(graphs.perceptron()[:-cut])
    with pytest.raises(errors.Rejected, match="not an ONNX file"):
        verify.read(tmp_path / "model.onnx", weights=tmp_path / "mapped.weights")


def test_any_bytes_are_a_model_or_malformed() -> None:
    random, whole = np.random.default_rng(0), bytearray(graphs.perceptron(hidden=32))
    for _ in range(300):
        damaged = bytearray(whole)
        for place in random.integers(0, 200, 3):
            damaged[place] = random.integers(256)
        try:
            onnx.load_from_string(bytes(damaged))
        except Exception:  # protobuf's DecodeError, whose module ships no types
            continue
        weights.graph(memoryview(bytes(damaged)), io.BytesIO(), location="w")


def outside(folder: Path, **place: int) -> onnx.ModelProto:
    """A perceptron whose weights are in two files beside it, the first of them at the place that is given."""
    model = onnx.load_from_string(graphs.perceptron())
    for number, tensor in enumerate(model.graph.initializer):
        with (folder / f"w{number % 2}.bin").open("ab") as file:
            where = {"location": file.name.rsplit("/")[-1], "offset": file.tell(), "length": len(tensor.raw_data)}
            file.write(tensor.raw_data)
        for key, value in {**where, **(place if number == 0 else {})}.items():
            tensor.external_data.add(key=key, value=str(value))
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.ClearField("raw_data")
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return model


def test_weights_in_files_of_the_package_are_mapped_as_well(tmp_path: Path) -> None:
    outside(tmp_path)
    graph = verify.read(tmp_path / "model.onnx", weights=tmp_path / "mapped.weights")
    assert (graph.split, graph.embedded) == (True, True)
    assert not any(tensor.raw_data for tensor in graph.proto.graph.initializer)
    (tmp_path / "mapped.onnx").write_bytes(graph.proto.SerializeToString())
    whole = b"".join(weights.joined(tmp_path / "mapped.onnx"))
    (tmp_path / "whole.onnx").write_bytes(whole)
    expected = session.load(graphs.perceptron()).run(ROWS)[0]
    for name in ("mapped.onnx", "whole.onnx"):
        assert np.allclose(session.load(tmp_path / name).run(ROWS)[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("large", [True, False])
@pytest.mark.parametrize(
    "place", [{"offset": 10**9}, {"length": 10**9}, {"offset": -1}, {"length": -1}], ids=lambda place: str(place)
)
def test_weights_beyond_their_file_are_an_invalid_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: dict[str, int], large: bool
) -> None:
    monkeypatch.setattr(weights, "LARGE", 1000 if large else 10**9)
    outside(tmp_path, **place)
    with pytest.raises(errors.Rejected, match=r"w0\.bin") as caught:
        verify.read(tmp_path / "model.onnx", weights=tmp_path / "mapped.weights")
    assert caught.value.reason == "InvalidModel"


def test_a_file_of_the_package_that_is_called_as_the_written_one_gives_nothing_away(tmp_path: Path) -> None:
    model = outside(tmp_path)
    for number, tensor in enumerate(model.graph.initializer):
        tensor.external_data.add(key="location", value="mapped.weights")
        tensor.external_data.add(key="offset", value=str(10**6 * number))
    padding = onnx.numpy_helper.from_array(np.zeros(2000, np.float32), "padding")
    model.graph.initializer.append(padding)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "scratch").mkdir()
    with pytest.raises(errors.Rejected, match=r"mapped\.weights.*export both anew"):
        verify.read(tmp_path / "model.onnx", weights=tmp_path / "scratch" / "mapped.weights")


def test_what_was_taken_apart_is_the_same_file_when_joined(tmp_path: Path) -> None:
    content = graphs.perceptron()
    (tmp_path / "model.onnx").write_bytes(content)
    (tmp_path / "mapped.onnx").write_bytes(
        b"".join(weights.split(tmp_path / "model.onnx", tmp_path / "mapped.weights"))
    )
    assert b"".join(weights.joined(tmp_path / "mapped.onnx")) == content


def test_a_model_outlives_the_file_that_its_weights_are_mapped_from(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(graphs.perceptron())
    with weights.beside(path, tmp_path) as opened:
        assert opened != path
        model = session.load(opened, packed=False)
    assert list(tmp_path.iterdir()) == [path]
    assert np.allclose(model.run(ROWS)[0], session.load(path).run(ROWS)[0], rtol=1e-5, atol=1e-5)


def test_a_large_model_without_weights_of_its_own_is_the_same_file_when_joined(tmp_path: Path) -> None:
    """As trees are, whose numbers are attributes of a node."""
    content = graphs.linear()
    (tmp_path / "model.onnx").write_bytes(content)
    (tmp_path / "mapped.onnx").write_bytes(
        b"".join(weights.split(tmp_path / "model.onnx", tmp_path / "mapped.weights"))
    )
    assert (tmp_path / "mapped.weights").stat().st_size == 0
    assert b"".join(weights.joined(tmp_path / "mapped.onnx")) == content
