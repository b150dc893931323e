"""From the fetched package to the prepared folder: verify, quantize, gate, write model and manifest.

`run` is the caller's side; `build` does the work inside the sandbox, because everything it opens is untrusted.
With `expected` (a pod) nothing is measured or decided: the trial's decision is carried out, and the bytes must come out
as the trial recorded them.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from seatrial_server.host import config, errors, sandbox
from seatrial_server.model import manifest, session
from seatrial_server.prepare import choice as choices
from seatrial_server.prepare import opened as openings
from seatrial_server.prepare import reference


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
        opened = openings.read(Path(package_folder), Path(scratch), mode=wanted.mode)
        choice = choices.repeat(opened, recorded) if recorded else choices.make(opened, wanted)
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
