"""Whatever graph meets whatever rows: the trial's decisions end in a manifest or a refusal that says what to change.

Known kinds, then the first random ones of `odd`; `python -m tests.bench trials` goes on.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tests.contract.server import odd
from tests.unit.server import graphs

from seatrial_server.model import manifest, session, weights
from seatrial_server.prepare import prepare


def build(
    folder: Path,
    model: bytes,
    *,
    mode: str = "Auto",
    expected: dict[str, Any] | None = None,
    **rows: dict[str, np.ndarray[Any, Any]],
) -> manifest.Manifest:
    package = folder / "package"
    package.mkdir(parents=True)
    (package / "model.onnx").write_bytes(model)
    for name, arrays in rows.items():
        np.savez(package / f"{name}.npz", **arrays)  # type: ignore[arg-type]  # numpy's stubs take no mapping
    prepare.build(
        package_folder=str(package),
        prepared_folder=str(folder / "prepared"),
        sha256="0" * 64,
        quantization={"mode": mode, "minSpeedup": -1.0, "maxDisagreement": 0.5},
        expected=expected,
    )
    return manifest.read(folder / "prepared")


@pytest.fixture(autouse=True)
def own_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", tempfile.gettempdir())  # `build` runs in a process of its own otherwise


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("opset", [7, 9, 11, 12, 13, 17, 21])
def test_a_model_of_any_opset_is_quantized_or_served_as_it_is(tmp_path: Path, opset: int) -> None:
    made = build(
        tmp_path, odd.network(opset=opset, batch="N", columns=8, kind="Gemm"), calibration={"x": normal(300, 8)}
    )
    assert made.quantization.outcome in ("Applied", "ServedOriginal")
    assert made.quantization.outcome == "Applied" or "opset" in made.quantization.reason


@pytest.mark.parametrize("mode", ["Auto", "Static", "Dynamic"])
@pytest.mark.parametrize(("batch", "rows"), [(1, 300), (4, 13), (4, 300)])
def test_a_fixed_batch_is_filled_up_and_quantized(tmp_path: Path, mode: str, batch: int, rows: int) -> None:
    made = build(tmp_path, odd.network(opset=17, batch=batch, columns=8), mode=mode, calibration={"x": normal(rows, 8)})
    held_out = rows if mode == "Dynamic" else rows // 2
    assert (made.quantization.outcome, made.quantization.rows) == ("Applied", held_out)


@pytest.mark.parametrize("mode", ["Auto", "Static", "Dynamic"])
@pytest.mark.parametrize("rows", [1, 2, 4])
def test_rows_too_few_to_compare_answers_on_are_told_with_how_many_are_needed(
    tmp_path: Path, mode: str, rows: int
) -> None:
    made = build(tmp_path, odd.network(opset=17, batch=1, columns=8), mode=mode, calibration={"x": normal(rows, 8)})
    assert made.quantization.outcome == "ServedOriginal"
    assert "at least 5 are needed" in made.quantization.reason


def test_rows_of_a_graph_without_a_batch_dimension_have_one_more(tmp_path: Path) -> None:
    made = build(tmp_path, odd.network(opset=17, batch=None, columns=8), calibration={"x": normal(50, 8)})
    assert made.quantization.outcome in ("Applied", "ServedOriginal")
    assert made.quantization.outcome == "Applied" or made.quantization.reason


@pytest.mark.parametrize("kind", [np.bool_, np.int8, np.uint64, np.float16, np.float64])
def test_rows_of_any_type_are_taken(tmp_path: Path, kind: Any) -> None:
    rows = (normal(40, 4) > 0).astype(kind)
    made = build(tmp_path, odd.network(opset=17, batch="N", columns=4, dtype=kind), calibration={"x": rows})
    assert made.quantization.outcome in ("Applied", "ServedOriginal")
    assert len(made.profile.features) == 4


@pytest.mark.parametrize("seed", range(odd.CASES))
def test_no_graph_and_no_rows_break_the_trial(seed: int) -> None:
    assert odd.examined(seed) == ""


@pytest.mark.parametrize("mode", ["Static", "Dynamic"])
@pytest.mark.parametrize("opset", [11, 18])
def test_a_pod_derives_the_bytes_of_a_large_model_as_of_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, opset: int
) -> None:
    """Its weights are mapped from a file all the way; the model is the same as if they weren't."""
    model, rows = onnx.load_from_string(graphs.perceptron()), {"x": normal(300, 64)}
    model.opset_import[0].version = opset
    content = model.SerializeToString()
    small = build(tmp_path / "small", content, mode=mode, calibration=rows)
    monkeypatch.setattr(weights, "LARGE", 1000)
    trial = build(tmp_path / "trial", content, mode=mode, calibration=rows)
    assert (trial.quantization.outcome, trial.calibration) == ("Applied", small.calibration)
    expected = {
        "servedSha256": trial.served_sha256,
        "precision": trial.precision,
        "calibration": trial.calibration,
    }
    pod = build(tmp_path / "pod", content, mode="None", expected=expected)
    assert pod.served_sha256 == trial.served_sha256
    answers = [
        session.load(tmp_path / folder / "prepared" / manifest.MODEL).run(rows)[0] for folder in ("small", "pod")
    ]
    assert (answers[0] == answers[1]).all()
