"""From the fetched package to the prepared folder: verify, quantize, gate, write model and manifest.

`run` is the caller's side; `build` does the work inside the sandbox, because everything it opens is untrusted.
With `expected` (a pod) nothing is measured or decided: the trial's decision is carried out, and the bytes must come out
as the trial recorded them.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx

from seatrial_server.artifact import package
from seatrial_server.host import config, errors, logs, sandbox
from seatrial_server.model import axis, fallback_rows, features, manifest, schema, session
from seatrial_server.prepare import adapt, gate, precision, quantize, reference, verify

log = logging.getLogger(__name__)
_TRYING_SECONDS = 60
_LARGE = 64 * 1024**2


def run(settings: config.Config, work: Path) -> manifest.Manifest:
    """Fill `work/prepared` from `work/package`."""
    result = sandbox.call(
        "seatrial_server.prepare.prepare:build",
        {
            "package_folder": str(work / "package"),
            "prepared_folder": str(work / "prepared"),
            "sha256": settings.model.sha256,
            "quantization": msgspec.to_builtins(settings.quantization),
            "expected": msgspec.to_builtins(settings.expected),
        },
    )
    prepared = msgspec.convert(result, manifest.Manifest)
    if settings.fallback.mode == "Static" and not prepared.card.fallback:
        raise errors.Rejected(
            "InvalidModel", "serving.fallback.mode is Static, but model.yaml of the package has no fallback"
        )
    return prepared


class _Examined(msgspec.Struct, frozen=True):
    """What is left of the parsed graph: a large model isn't kept in memory twice.

    `opened`: the file to open it from, `original` or one that keeps a large model's weights beside it.
    """

    original: Path
    opened: Path
    adapted: adapt.Adapted
    precision: config.Precision
    applicable: bool
    shares_scales: bool

    @property
    def large(self) -> bool:
        """Whether it is opened from another file."""
        return self.opened != self.original


class _Build(msgspec.Struct, frozen=True):
    """What the steps share. `scratch` is deleted afterwards."""

    folder: Path
    scratch: Path
    examined: _Examined
    loaded: session.Session
    card: schema.Card
    example: dict[str, session.Array] | None

    @property
    def original(self) -> Path:
        """The verified graph with embedded data."""
        return self.examined.original


class _Choice(msgspec.Struct, frozen=True):
    """Which file to serve and why."""

    path: Path
    precision: config.Precision
    result: manifest.QuantizationResult
    calibration: dict[str, Any] | None = None


def build(
    *,
    package_folder: str,
    prepared_folder: str,
    sha256: str,
    quantization: dict[str, Any],
    expected: dict[str, Any] | None,
) -> dict[str, Any]:
    """Everything that touches the untrusted package; the manifest as plain data."""
    wanted = msgspec.convert(quantization, config.Quantization)
    recorded = msgspec.convert(expected, config.Expected | None)
    prepared = Path(prepared_folder)
    prepared.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=prepared.parent) as scratch:
        tempfile.tempdir = scratch  # the quantizer makes temporary folders of its own, and /tmp may be read-only
        opened = _open(Path(package_folder), Path(scratch), mode=wanted.mode)
        choice = _reproduce(opened, recorded) if recorded else _choose(opened, wanted)
        with choice.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if recorded and digest != recorded.served_sha256:
            raise errors.Rejected(
                "DigestMismatch",
                f"this node derived a model with sha256 {digest}, the trial recorded {recorded.served_sha256}: "
                "serve with the image of the trial, or run the trial again",
            )
        shutil.copyfile(choice.path, prepared / manifest.MODEL)
        model, as_it_is = opened.loaded.schema, choice.path == opened.original
        served = opened.loaded if as_it_is else session.load(choice.path, known=model)
        profile = reference.read(opened.folder, opened.card, served)
        if as_it_is and opened.examined.large and recorded is None:
            for path in Path(scratch).glob(f"{Path(manifest.MAPPED).stem}.*"):
                path.rename(prepared / path.name)
        if opened.example is not None:
            manifest.keep_rows(prepared, model, opened.example)
        batching = not opened.examined.shares_scales and choice.precision != "int8-dynamic"
    written = manifest.Manifest(
        sha256=sha256,
        served_sha256=digest,
        precision=choice.precision,
        quantization=choice.result,
        environment=manifest.Environment(onnxruntime=session.VERSION, cpu_flags=manifest.cpu_flags()),
        model=model,
        calibration=choice.calibration,
        card=opened.card,
        profile=profile,
        missing=opened.examined.adapted.missing,
        batching=batching,
    )
    (prepared / manifest.FILE).write_bytes(msgspec.json.encode(written))
    plain: dict[str, Any] = msgspec.to_builtins(written)
    return plain


def _examine(folder: Path, scratch: Path, *, mode: str) -> _Examined:
    source = folder / "model.onnx"
    logs.info(log, "reading the model", bytes=source.stat().st_size)
    mapped, large = scratch / manifest.MAPPED, source.stat().st_size > _LARGE
    graph = verify.read(source, weights=mapped.with_suffix(".weights") if large else None)
    adapted = adapt.adapt(graph.proto)
    if graph.split:
        mapped.write_bytes(quantize.serialize(graph.proto))
    if graph.embedded or adapted.changed:
        source = scratch / "embedded.onnx"
        source.write_bytes(quantize.serialize(onnx.load(str(mapped)) if graph.split else graph.proto))
    applicable, shares = quantize.applicable(graph.proto, mode), quantize.rows_share_scales(graph.proto)
    opened = mapped if graph.split else source
    return _Examined(
        original=source,
        opened=opened,
        adapted=adapted,
        precision=precision.of(graph.proto.graph),
        applicable=applicable,
        shares_scales=shares,
    )


def _open(folder: Path, scratch: Path, *, mode: str) -> _Build:
    examined = _examine(folder, scratch, mode=mode)
    adapted = examined.adapted
    logs.info(log, "opening the model")
    loaded = session.load(examined.opened, packed=not examined.large)
    with sandbox.cpu_seconds(_TRYING_SECONDS):
        found = axis.find(loaded, package.any_rows(folder, loaded.schema))
    loaded.schema = msgspec.structs.replace(found.model, tables=adapted.tables)
    logs.info(log, "row axis", **msgspec.structs.asdict(found.model.axis))
    for output, labels in adapted.unzipped:
        logs.info(log, "served without its ZipMap: probabilities as a tensor", output=output, labels=list(labels))
    card = adapted.described(package.card(folder))
    card = msgspec.structs.replace(card, features=features.settled(card.features, loaded.schema, set(adapted.missing)))
    features.by_input(card.features, loaded.schema)
    schema.check_outputs(card, loaded.schema)
    if card.fallback:
        fallback_rows.read(card, loaded.schema)
    return _Build(
        folder=folder,
        scratch=scratch,
        examined=examined,
        loaded=loaded,
        card=card,
        example=found.example,
    )


def _choose(opened: _Build, wanted: config.Quantization) -> _Choice:
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
    opened: _Build,
    wanted: config.Quantization,
    rows: dict[str, session.Array] | None,
    known: dict[str, session.Array],
) -> _Choice:
    optimised, target = opened.scratch / "optimised.onnx", opened.scratch / "quantized.onnx"
    quantize.optimise(opened.original, optimised)
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
    return _Choice(
        path=target,
        precision="int8-dynamic" if dynamic else "int8-static",
        result=_result(wanted, "Applied", "", measured),
        calibration=calibration,
    )


def _reproduce(opened: _Build, recorded: config.Expected) -> _Choice:
    """The trial's decision carried out again, from the recorded ranges."""
    quantized = recorded.precision in ("int8-static", "int8-dynamic")
    result = manifest.QuantizationResult(mode="Recorded", outcome="Applied" if quantized else "Off")
    if not quantized:
        return _Choice(path=opened.original, precision=recorded.precision, result=result)
    if recorded.calibration is None:
        raise errors.Rejected(
            "InvalidModel", f"config.json: expected.calibration must be present for {recorded.precision}"
        )
    optimised, target = opened.scratch / "optimised.onnx", opened.scratch / "quantized.onnx"
    quantize.optimise(opened.original, optimised)
    quantize.apply(optimised, target, recorded.calibration, scratch=opened.scratch)
    return _Choice(path=target, precision=recorded.precision, result=result, calibration=recorded.calibration)


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


def _gate_rows(opened: _Build, rows: dict[str, session.Array] | None) -> dict[str, session.Array] | None:
    """Held-out calibration rows and the rows of the functional tests, as far as they are of one shape."""
    parts = [rows] if rows is not None else []
    for test in package.tests(opened.folder).functional:
        parts.append(package.as_feeds(test.rows, opened.loaded.schema, source=f"tests.yaml: {test.name}"))
    like = [part for part in parts if all(part[name].shape[1:] == parts[0][name].shape[1:] for name in part)]
    return {name: np.concatenate([part[name] for part in like]) for name in parts[0]} if parts else None


def _original(opened: _Build, wanted: config.Quantization, outcome: Any, reason: str = "") -> _Choice:
    return _Choice(
        path=opened.original, precision=opened.examined.precision, result=_result(wanted, outcome, reason, None)
    )


def _failed(
    opened: _Build, wanted: config.Quantization, reason: str, measured: gate.Measurement | None = None
) -> _Choice:
    outcome = "Rejected" if wanted.on_failure == "Reject" else "ServedOriginal"
    return _Choice(
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
