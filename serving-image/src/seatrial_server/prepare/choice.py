"""Which file is served: the quantized model where it is asked for, possible and good enough, else the original.

`make` decides, in the trial; `repeat` carries a recorded decision out, in a pod. Runs in the sandbox.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from seatrial_server.artifact import package
from seatrial_server.host import config, errors
from seatrial_server.model import manifest, session
from seatrial_server.prepare import gate, quantize
from seatrial_server.prepare.opened import Opened

log = logging.getLogger(__name__)


class Choice(msgspec.Struct, frozen=True):
    """Which file to serve and why."""

    path: Path
    precision: config.Precision
    result: manifest.QuantizationResult
    calibration: dict[str, Any] | None = None


def make(opened: Opened, wanted: config.Quantization) -> Choice:
    """The trial's decision: the quantized model when asked for, possible and good enough, else the original."""
    if wanted.mode == "None":
        return _original(opened, wanted, "Off")
    if not opened.examined.applicable:
        operators = " or ".join(sorted(quantize.heavy(wanted.mode)))
        return _original(opened, wanted, "NotApplicable", f"the graph has no {operators} with constant weights")
    rows = package.calibration(opened.folder, opened.loaded.schema)
    if rows is None and wanted.mode == "Auto":
        return _original(opened, wanted, "NotApplicable", "the package has no calibration.npz")
    if rows is None and wanted.mode == "Static":
        return _failed(opened, wanted, "the package has no calibration.npz")
    if rows is not None:
        _check_runs(opened.loaded, rows)
    ranged, held_out = (None, rows) if rows is None or wanted.mode == "Dynamic" else gate.split(rows)
    known = _gate_rows(opened, held_out)
    if known is None:
        return _failed(
            opened, wanted, "the package has neither calibration.npz nor functional tests to compare answers"
        )
    lacking = gate.too_few(len(next(iter(known.values()))), wanted.max_disagreement)
    if lacking:
        return _failed(opened, wanted, lacking)
    try:
        return _quantized(opened, wanted, ranged, known)
    except quantize.Unquantizable as error:
        return _failed(opened, wanted, str(error))
    except Exception as error:  # whatever our own tools can't do says nothing about the user's model
        log.exception("quantization failed")
        if errors.of_memory(error):
            return _failed(opened, wanted, "quantizing needs more memory: raise serving.resources.limits.memory")
        return _failed(opened, wanted, f"quantization failed: {str(error)[:500]}")


def _quantized(
    opened: Opened,
    wanted: config.Quantization,
    rows: dict[str, session.Array] | None,
    known: dict[str, session.Array],
) -> Choice:
    optimised, target = opened.scratch / "optimised.onnx", opened.scratch / "quantized.onnx"
    quantize.optimise(opened.examined.opened, optimised)
    dynamic = wanted.mode == "Dynamic" or rows is None
    calibration = (
        quantize.DYNAMIC
        if dynamic
        else quantize.measure(optimised, rows or {}, model=opened.loaded.schema, scratch=opened.scratch)
    )
    quantize.apply(optimised, target, calibration, scratch=opened.scratch)
    # A dynamic model answers one request at a time: rows of a batch would share a scale.
    original = opened.loaded
    if opened.examined.large:  # as it would be served, or its speed is another one
        original = session.load(opened.examined.opened, known=original.schema)
    measured = gate.measure(
        original,
        session.load(target, known=opened.loaded.schema),
        known,
        opened.card,
        together=1 if dynamic else session.ROWS_PER_RUN,
    )
    refusal = gate.decide(measured, wanted)
    if refusal:
        return _failed(opened, wanted, refusal, measured)
    return Choice(
        path=target,
        precision="int8-dynamic" if dynamic else "int8-static",
        result=_result(wanted, "Applied", "", measured),
        calibration=calibration,
    )


def repeat(opened: Opened, recorded: config.Expected) -> Choice:
    """The trial's decision carried out again, from the recorded ranges."""
    quantized = recorded.precision in ("int8-static", "int8-dynamic")
    result = manifest.QuantizationResult(mode="Recorded", outcome="Applied" if quantized else "Off")
    if not quantized:
        return Choice(path=opened.original, precision=recorded.precision, result=result)
    if recorded.calibration is None:
        raise errors.Rejected(
            "InvalidModel", f"config.json: expected.calibration must be present for {recorded.precision}"
        )
    optimised, target = opened.scratch / "optimised.onnx", opened.scratch / "quantized.onnx"
    quantize.optimise(opened.examined.opened, optimised)
    quantize.apply(optimised, target, recorded.calibration, scratch=opened.scratch)
    return Choice(path=target, precision=recorded.precision, result=result, calibration=recorded.calibration)


def _check_runs(model: session.Session, rows: dict[str, session.Array]) -> None:
    first = {name: array[:1] for name, array in rows.items()}
    try:
        outputs = model.rows(first)
    except session.RowsFailed as error:
        raise errors.Rejected("InvalidModel", f"the model fails on its own calibration rows: {error}") from error
    if _finite(first.values()) and not _finite(outputs):
        raise errors.Rejected("InvalidModel", "the model answers NaN or infinity on its own calibration rows")


def _finite(arrays: Iterable[session.Array]) -> bool:
    return all(np.isfinite(array).all() for array in arrays if array.dtype.kind == "f")


def _gate_rows(opened: Opened, rows: dict[str, session.Array] | None) -> dict[str, session.Array] | None:
    """Held-out calibration rows and the rows of the functional tests, as far as they are of one shape."""
    parts = [rows] if rows is not None else []
    for test in package.tests(opened.folder).functional:
        parts.append(package.as_feeds(test.rows, opened.loaded.schema, source=f"tests.yaml: {test.name}"))
    like = [part for part in parts if all(part[name].shape[1:] == parts[0][name].shape[1:] for name in part)]
    return {name: np.concatenate([part[name] for part in like]) for name in parts[0]} if parts else None


def _original(opened: Opened, wanted: config.Quantization, outcome: Any, reason: str = "") -> Choice:
    return Choice(
        path=opened.original, precision=opened.examined.precision, result=_result(wanted, outcome, reason, None)
    )


def _failed(
    opened: Opened, wanted: config.Quantization, reason: str, measured: gate.Measurement | None = None
) -> Choice:
    outcome = "Rejected" if wanted.on_failure == "Reject" else "ServedOriginal"
    return Choice(
        path=opened.original, precision=opened.examined.precision, result=_result(wanted, outcome, reason, measured)
    )


def _result(
    wanted: config.Quantization, outcome: Any, reason: str, measured: gate.Measurement | None
) -> manifest.QuantizationResult:
    if measured is None:
        return manifest.QuantizationResult(mode=wanted.mode, outcome=outcome, reason=reason)
    return manifest.QuantizationResult(
        mode=wanted.mode,
        outcome=outcome,
        reason=reason,
        disagreement=measured.disagreement,
        bound=wanted.max_disagreement,
        rows=measured.rows,
        speedup1=measured.speedup1,
        speedup32=measured.speedup32,
    )
