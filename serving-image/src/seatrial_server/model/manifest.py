"""What `prepare` leaves beside the prepared model: all that `serve` and the trial's report need to know about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from seatrial_server.host import config, errors
from seatrial_server.model import bins, schema, session, weights
from seatrial_server.model.measured import Environment as Environment
from seatrial_server.model.measured import QuantizationResult as QuantizationResult

FILE = "manifest.json"
MODEL = "model.onnx"
ROWS = "rows.npz"


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """`calibration` holds the per-tensor ranges from which a pod derives the same bytes."""

    sha256: str
    served_sha256: str
    precision: config.Precision
    quantization: QuantizationResult
    environment: Environment
    model: schema.Schema
    """Inputs and outputs as they are served, with the row axis."""
    calibration: dict[str, Any] | None = None
    card: schema.Card = schema.Card()
    profile: bins.Profile = bins.Profile()
    missing: tuple[str, ...] = ()
    """Inputs whose graph is made for missing values."""
    batching: bool = True
    """Whether rows of several requests may run together, if the model has a free row axis."""


def read(folder: Path) -> Manifest:
    """The manifest of a prepared folder."""
    path = folder / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise errors.Unavailable(f"{path} cannot be used: {error}; run `seatrial-server prepare` first") from error


def opened(folder: Path) -> tuple[session.Session, Manifest]:
    """The prepared model as it is served, but for the order of a large one's weights."""
    made, path = read(folder), folder / MODEL
    with weights.beside(path, folder) as graph:
        return session.load(graph, known=made.model, packed=graph == path), made


def keep_rows(folder: Path, model: schema.Schema, rows: dict[str, session.Array]) -> None:
    """Rows that the model answers, for the warm-up to measure with; by position, for an input may have any name."""
    arrays = [rows[spec.name] for spec in model.inputs]
    np.savez(folder / ROWS, *[array.astype(np.str_) if array.dtype == np.object_ else array for array in arrays])


def kept_rows(folder: Path, model: schema.Schema) -> dict[str, session.Array] | None:
    """Those rows; None where there were none."""
    if not (folder / ROWS).exists():
        return None
    with np.load(folder / ROWS, allow_pickle=False) as archive:
        arrays = [archive[name] for name in archive.files]
    return {
        spec.name: array.astype(np.object_) if spec.datatype == "BYTES" else array
        for spec, array in zip(model.inputs, arrays, strict=True)
    }


def cpu_flags() -> tuple[str, ...]:
    """Which of the instruction sets that decide over int8 kernels this CPU has."""
    wanted = {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return ()
    flags = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return tuple(sorted(wanted & set(flags.split())))
