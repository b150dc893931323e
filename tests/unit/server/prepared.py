"""Prepared folders as `prepare` leaves them, for tests of what comes after it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from seatrial_server.model import axis, manifest, session


def described(content: bytes, *, tried: bool = True, **more: Any) -> manifest.Manifest:
    """The manifest of a model that is served as it is."""
    digest, loaded = hashlib.sha256(content).hexdigest(), session.load(content)
    return manifest.Manifest(
        sha256=digest,
        served_sha256=digest,
        precision="fp32",
        quantization=manifest.QuantizationResult(mode="None", outcome="Off"),
        environment=manifest.Environment(onnxruntime="", cpu_flags=()),
        model=axis.find(loaded, None).model if tried else loaded.schema,
        **more,
    )


def write(folder: Path, content: bytes, **more: Any) -> manifest.Manifest:
    """Model and manifest into a folder, which is made."""
    folder.mkdir(parents=True)
    made = described(content, **more)
    (folder / manifest.MODEL).write_bytes(content)
    (folder / manifest.FILE).write_bytes(msgspec.json.encode(made))
    return made


def loaded(content: bytes) -> session.Session:
    """The model with the row axis that it shows."""
    return session.load(content, known=described(content).model)
