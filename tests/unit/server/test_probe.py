"""A version that answers nothing does not pass its trial; what an answer is worth, tests and traffic judge."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.unit.server import graphs, prepared

from seatrial_server.host import errors, sandbox
from seatrial_server.trial import probe


def reshaped(columns: int, *, given: int = 8) -> bytes:
    """x [N, given] -> y [N, columns] by a Reshape that only fits when both are equal."""
    return graphs.model(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        inputs={"x": (TensorProto.FLOAT, ["N", given])},
        outputs={"y": (TensorProto.FLOAT, ["N", columns])},
        constants={"shape": np.array([-1, columns], np.int64)},
    ).SerializeToString()


def picky(length: int) -> bytes:
    """ids and mask [N, T] INT64 -> y: answers only when T is a multiple of `length`."""
    return graphs.model(
        [
            helper.make_node("Mul", ["ids", "mask"], ["both"]),
            helper.make_node("Reshape", ["both", "shape"], ["y"]),
        ],
        inputs={"ids": (TensorProto.INT64, ["N", "T"]), "mask": (TensorProto.INT64, ["N", "T"])},
        outputs={"y": (TensorProto.INT64, ["M", length])},
        constants={"shape": np.array([-1, length], np.int64)},
    ).SerializeToString()


def root() -> bytes:
    """x [N, 1] -> y = sqrt(x - 5): NaN for small numbers."""
    return graphs.model(
        [helper.make_node("Sub", ["x", "five"], ["less"]), helper.make_node("Sqrt", ["less"], ["y"])],
        inputs={"x": (TensorProto.FLOAT, ["N", 1])},
        outputs={"y": (TensorProto.FLOAT, ["N", 1])},
        constants={"five": np.array([5], np.float32)},
    ).SerializeToString()


def folders(where: Path, model: bytes, rows: np.ndarray[Any, Any] | None = None) -> dict[str, str]:
    (where / "package").mkdir()
    prepared.write(where / "prepared", model, tried=False)
    if rows is not None:
        content = io.BytesIO()
        np.savez(content, x=rows)
        (where / "package" / "reference.npz").write_bytes(content.getvalue())
    return {"package_folder": str(where / "package"), "prepared_folder": str(where / "prepared")}


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(graphs.linear(), id="a linear model"),
        pytest.param(graphs.lookup(), id="a table"),
        pytest.param(graphs.echo(TensorProto.STRING), id="texts"),
        pytest.param(graphs.echo(TensorProto.BOOL), id="booleans"),
        pytest.param(graphs.echo(TensorProto.FLOAT16), id="half precision"),
        pytest.param(picky(32), id="sequences of a certain length"),
    ],
)
def test_a_model_that_answers_something_passes(tmp_path: Path, model: bytes) -> None:
    assert probe.run(**folders(tmp_path, model)) == {}


def test_a_graph_that_loads_and_always_fails_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.Rejected, match=r"answers none of 3 made-up rows: .*reference\.npz"):
        probe.run(**folders(tmp_path, reshaped(7)))


def test_a_model_whose_every_answer_is_nan_is_refused_until_rows_show_otherwise(tmp_path: Path) -> None:
    for place in ("made-up", "its-own"):
        (tmp_path / place).mkdir()
    with pytest.raises(errors.Rejected, match="NaN or infinity"):
        probe.run(**folders(tmp_path / "made-up", root()))
    assert probe.run(**folders(tmp_path / "its-own", root(), np.array([[1], [9]], np.float32))) == {}


def test_a_model_that_fails_on_all_rows_of_its_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.Rejected, match="none of the package's first 2 rows"):
        probe.run(**folders(tmp_path, root(), np.zeros((2, 1), np.float32)))


@pytest.mark.long
def test_a_model_that_never_ends_is_refused_in_time(tmp_path: Path) -> None:
    limits = sandbox.Limits(seconds=4, doing="a call with one row")
    with pytest.raises(errors.Rejected, match="a call with one row took longer than 4 s"):
        sandbox.call("seatrial_server.trial.probe:run", folders(tmp_path, graphs.slow(2**60)), limits=limits)
