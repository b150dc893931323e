"""Whatever graph meets whatever rows: the trial's decisions end in a manifest or a refusal that says what to change.

Seeded random graphs (old opsets, fixed batches, odd types, no batch dimension) against random calibration arrays.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from seatrial_server.host import errors
from seatrial_server.model import manifest, session
from seatrial_server.prepare import prepare

CASES = 24
OUR_WORDS = ("calibration.npz", "reference.npz", "its own calibration rows", "cannot load the model")


def network(
    *, opset: int, batch: int | str | None, columns: int, kind: str = "MatMul", dtype: Any = np.float32
) -> bytes:
    """x -> y by one product and a soft-max; `batch` None: no batch dimension."""
    random = np.random.default_rng(columns)
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    shape = [columns] if batch is None else [batch, columns]
    axis = {"axis": len(shape) - 1}
    cast = [] if dtype == np.float32 else [helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT)]
    start = "x" if dtype == np.float32 else "f"
    product = [helper.make_node("MatMul", [start, "w"], ["z"])]
    if kind == "Gemm" and batch is not None:
        product = [helper.make_node("Gemm", [start, "w", "b"], ["z"])]
    graph = helper.make_graph(
        [*cast, *product, helper.make_node("Softmax", ["z"], ["y"], **axis)],
        "odd",
        [helper.make_tensor_value_info("x", element, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [*shape[:-1], 3])],
        [
            numpy_helper.from_array(random.standard_normal((columns, 3)).astype(np.float32), "w"),
            numpy_helper.from_array(random.standard_normal(3).astype(np.float32), "b"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    content: bytes = made.SerializeToString()
    return content


def build(
    folder: Path, model: bytes, *, mode: str = "Auto", **rows: dict[str, np.ndarray[Any, Any]]
) -> manifest.Manifest:
    package = folder / "package"
    package.mkdir()
    (package / "model.onnx").write_bytes(model)
    for name, arrays in rows.items():
        np.savez(package / f"{name}.npz", **arrays)  # type: ignore[arg-type]  # numpy's stubs take no mapping
    prepare.build(
        package_folder=str(package),
        prepared_folder=str(folder / "prepared"),
        sha256="0" * 64,
        quantization={"mode": mode, "minSpeedup": -1.0, "maxDisagreement": 0.5},
        expected=None,
    )
    return manifest.read(folder / "prepared")


@pytest.fixture(autouse=True)
def own_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", tempfile.gettempdir())  # `build` runs in a process of its own otherwise


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("opset", [7, 9, 11, 12, 13, 17, 21])
def test_a_model_of_any_opset_is_quantized_or_served_as_it_is(tmp_path: Path, opset: int) -> None:
    made = build(tmp_path, network(opset=opset, batch="N", columns=8, kind="Gemm"), calibration={"x": normal(300, 8)})
    assert made.quantization.outcome in ("Applied", "ServedOriginal")
    assert made.quantization.outcome == "Applied" or "opset" in made.quantization.reason


@pytest.mark.parametrize("mode", ["Auto", "Static", "Dynamic"])
@pytest.mark.parametrize(("batch", "rows"), [(1, 300), (4, 13), (4, 300)])
def test_a_fixed_batch_is_filled_up_and_quantized(tmp_path: Path, mode: str, batch: int, rows: int) -> None:
    made = build(tmp_path, network(opset=17, batch=batch, columns=8), mode=mode, calibration={"x": normal(rows, 8)})
    held_out = rows if mode == "Dynamic" else rows // 2
    assert (made.quantization.outcome, made.quantization.rows) == ("Applied", held_out)


@pytest.mark.parametrize("mode", ["Auto", "Static", "Dynamic"])
@pytest.mark.parametrize("rows", [1, 2, 4])
def test_rows_too_few_to_compare_answers_on_are_told_with_how_many_are_needed(
    tmp_path: Path, mode: str, rows: int
) -> None:
    made = build(tmp_path, network(opset=17, batch=1, columns=8), mode=mode, calibration={"x": normal(rows, 8)})
    assert made.quantization.outcome == "ServedOriginal"
    assert "at least 5 are needed" in made.quantization.reason


def test_rows_of_a_graph_without_a_batch_dimension_have_one_more(tmp_path: Path) -> None:
    made = build(tmp_path, network(opset=17, batch=None, columns=8), calibration={"x": normal(50, 8)})
    assert made.quantization.outcome in ("Applied", "ServedOriginal")
    assert made.quantization.outcome == "Applied" or made.quantization.reason


@pytest.mark.parametrize("kind", [np.bool_, np.int8, np.uint64, np.float16, np.float64])
def test_rows_of_any_type_are_taken(tmp_path: Path, kind: Any) -> None:
    rows = (normal(40, 4) > 0).astype(kind)
    made = build(tmp_path, network(opset=17, batch="N", columns=4, dtype=kind), calibration={"x": rows})
    assert made.quantization.outcome in ("Applied", "ServedOriginal")
    assert len(made.profile.features) == 4


def anything(random: np.random.Generator, columns: int) -> np.ndarray[Any, Any]:
    """Rows that fit, nearly fit, or don't."""
    shape = [
        (random.integers(1, 40), columns),
        (1, columns),
        (0, columns),
        (5, columns + 1),
        (3, 1, columns),
        (columns,),
    ]
    rows = random.standard_normal(shape[random.choice(len(shape), p=[0.5, 0.1, 0.1, 0.1, 0.1, 0.1])])
    spoil = random.choice(["", "nan", "inf", "huge", "constant", "text"], p=[0.4, 0.15, 0.15, 0.1, 0.1, 0.1])
    if spoil == "constant":
        rows[...] = 0.5
    elif spoil == "text":
        return rows.astype(str)
    elif spoil and rows.size:
        rows.reshape(-1)[random.integers(rows.size)] = {"nan": np.nan, "inf": -np.inf, "huge": 1e300}[str(spoil)]
    with np.errstate(over="ignore"):
        return (
            rows.astype(random.choice([np.float32, np.float64, np.int64, np.bool_]))
            if spoil == ""
            else rows.astype(np.float32)
        )


def attempt(folder: Path, model: bytes, **how: Any) -> manifest.Manifest | errors.Rejected:
    try:
        return build(folder, model, **how)
    except errors.Rejected as refusal:
        return refusal


@pytest.mark.parametrize("seed", range(CASES))
def test_no_graph_and_no_rows_break_the_trial(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    columns = int(random.integers(1, 9))
    batch: int | str | None = [None, 1, 3, "N"][random.choice(4, p=[0.1, 0.2, 0.1, 0.6])]
    model = network(
        opset=int(random.choice([7, 10, 12, 13, 18])),
        batch=batch,
        columns=columns,
        kind=str(random.choice(["MatMul", "Gemm"])),
        dtype=random.choice([np.float32, np.float32, np.float64, np.int64, np.bool_]),
    )
    files = {name: {"x": anything(random, columns)} for name in ("calibration", "reference") if random.random() < 0.8}
    made = attempt(tmp_path, model, mode=str(random.choice(["Auto", "Static", "Dynamic", "None"])), **files)
    if isinstance(made, errors.Rejected):
        assert (made.reason, [words for words in OUR_WORDS if words in str(made)]) != ("InvalidModel", []), made
        return
    assert made.quantization.outcome in ("Applied", "NotApplicable", "ServedOriginal", "Off")
    assert made.quantization.outcome in ("Applied", "Off") or made.quantization.reason
    session.load(tmp_path / "prepared" / "model.onnx")
