"""The model that a process serves, and all that its ports need to know of it: from a prepared folder or a bare file.

`service` opens the ports. Must not know of requests.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import msgspec

from seatrial_server.engine import warmup
from seatrial_server.host import config, cpus, errors, logs
from seatrial_server.model import axis, bins, manifest, schema, session, weights

log = logging.getLogger(__name__)
_ADAPTED = (b"ZipMap", b"TreeEnsemble", b"Imputer", b"StringNormalizer", b"Gather")
"""Operators that `prepare.adapt` looks for."""


class Served(msgspec.Struct, frozen=True):
    """Everything about the model that the ports need."""

    settings: config.Config
    precision: config.Precision
    served_sha256: str
    model: session.Session
    card: schema.Card
    profile: bins.Profile = bins.Profile()
    batching: bool = True
    rows: dict[str, session.Array] | None = None
    missing: frozenset[str] = frozenset()


def prepared(settings: config.Config, work: Path) -> Served:
    """What is in `work/prepared`; refuses bytes that differ from the manifest or from the trial's record."""
    folder = work / "prepared"
    made = manifest.read(folder)
    path = folder / manifest.MODEL
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    wanted = settings.expected.served_sha256 if settings.expected else made.served_sha256
    if digest != wanted:
        raise errors.Rejected("DigestMismatch", f"prepared/model.onnx has sha256 {digest}, {wanted} was recorded")
    rows = manifest.kept_rows(folder, made.model)
    logs.info(log, "loading", bytes=path.stat().st_size)
    with weights.beside(path, folder) as opened:
        large, granted = opened != path, cpus.granted()
        model = warmup.load(opened, cpus=granted, known=made.model, rows=rows, large=large)
    loaded = Served(
        settings=settings,
        precision=made.precision,
        served_sha256=digest,
        model=model,
        rows=rows,
        card=made.card,
        profile=made.profile,
        batching=made.batching,
        missing=frozenset(made.missing),
    )
    logs.info(log, "loaded", threads=loaded.model.threads)
    return loaded


def file(path: Path, *, name: str) -> Served:
    """A bare model file, as it is."""
    model_bytes = path.read_bytes()
    digest = hashlib.sha256(model_bytes).hexdigest()
    settings = config.Config(model=config.ModelRef(name=name, version="1", uri=path.name, sha256=digest))
    model, card, missing, tables = _adapted(path, model_bytes)
    del model_bytes
    tried = session.load(model)
    found = axis.find(tried, None)
    known = msgspec.structs.replace(found.model, tables=tables)
    del tried  # once in memory is enough
    return Served(
        settings=settings,
        precision="fp16" if "FP16" in {spec.datatype for spec in found.model.outputs} else "fp32",
        served_sha256=digest,
        model=warmup.load(model, cpus=cpus.granted(), known=known, rows=found.example),
        rows=found.example,
        card=card,
        missing=missing,
    )


def _adapted(path: Path, content: bytes) -> tuple[Path | bytes, schema.Card, frozenset[str], dict[str, int]]:
    """As `prepare` would make it; most graphs need nothing, and not the library that opens them."""
    if not any(marker in content for marker in _ADAPTED):
        return path, schema.Card(), frozenset(), {}
    from seatrial_server.prepare import adapt, quantize, verify

    proto = verify.read(path).proto
    adapted = adapt.adapt(proto)
    model = quantize.serialize(proto) if adapted.changed else path
    return model, adapted.described(schema.Card()), frozenset(adapted.missing), adapted.tables
