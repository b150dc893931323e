"""A large file as a graph and its weights: the same model, none of the weights in memory."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.unit.server import graphs

from seatrial_server.host import errors
from seatrial_server.model import session
from seatrial_server.prepare import split, verify

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
        split.graph(memoryview(bytes(damaged)), io.BytesIO(), location="w")
