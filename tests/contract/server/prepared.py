"""A pod's folder without fetch and prepare: the prepared model and its configuration, as `serve` finds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.contract.server import process
from tests.unit.server import graphs
from tests.unit.server import prepared as written

from seatrial_server.model import bins, schema

LABELS = {"deployment": "churn", "deployment_namespace": "shop", "revision": "abc"}


def pod(
    folder: Path,
    content: bytes = b"",
    *,
    card: schema.Card | None = None,
    profile: bins.Profile | None = None,
    **settings: Any,
) -> list[str | Path]:
    """Arguments of `process.serving` for version 3 of `model`, the linear graph when nothing is said.

    Nobody is late unless a test asks for it: a server that gets no CPU for two seconds refuses what came before them.
    """
    content = content or graphs.linear()
    known = {"card": card or schema.Card(), "profile": profile or bins.Profile()}
    digest = written.write(folder / "work" / "prepared", content, **known).sha256
    document = {
        "deployment": LABELS["deployment"],
        "namespace": LABELS["deployment_namespace"],
        "revision": LABELS["revision"],
        "model": {"name": "model", "version": "3", "uri": "pvc://models/model.onnx", "sha256": digest},
        **settings,
        "limits": {"timeoutSeconds": process.DEADLINE, **settings.get("limits", {})},
    }
    (folder / "config.json").write_text(json.dumps(document))
    return ["--config", folder / "config.json", "--work", folder / "work"]
