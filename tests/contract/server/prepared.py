"""A pod's folder without fetch and prepare: the prepared model and its configuration, as `serve` finds them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
from tests.unit.server import graphs

from seatrial_server.model import manifest, schema

LABELS = {"deployment": "churn", "deployment_namespace": "shop", "revision": "abc"}


def pod(folder: Path, content: bytes = b"", *, card: schema.Card | None = None, **settings: Any) -> list[str | Path]:
    """Arguments of `process.serving` for version 3 of `model`, the linear graph when nothing is said."""
    content = content or graphs.linear()
    digest = hashlib.sha256(content).hexdigest()
    (folder / "work" / "prepared").mkdir(parents=True)
    (folder / "work" / "prepared" / manifest.MODEL).write_bytes(content)
    described = manifest.Manifest(
        sha256=digest,
        served_sha256=digest,
        precision="fp32",
        quantization=manifest.QuantizationResult(mode="None", outcome="Off"),
        environment=manifest.Environment(onnxruntime="", cpu_flags=()),
        card=card or schema.Card(),
    )
    (folder / "work" / "prepared" / manifest.FILE).write_bytes(msgspec.json.encode(described))
    document = {
        "deployment": LABELS["deployment"],
        "namespace": LABELS["deployment_namespace"],
        "revision": LABELS["revision"],
        "model": {"name": "model", "version": "3", "uri": "pvc://models/model.onnx", "sha256": digest},
        **settings,
    }
    (folder / "config.json").write_text(json.dumps(document))
    return ["--config", folder / "config.json", "--work", folder / "work"]
