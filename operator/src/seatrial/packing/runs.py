"""The MLflow run that made a model: its parameters, code and data, for the lineage.

What the server doesn't say is left out.
"""

from __future__ import annotations

import json
from typing import Any

_MOST = 50
_LONGEST = 200
_COMMIT = "mlflow.source.git.commit"
_REPOSITORY = "mlflow.source.git.repoURL"


def of(client: Any, run: str) -> dict[str, Any]:
    """`parameters`, `code` and `datasets` of a run; `client` is a tracking client of mlflow."""
    try:
        found = client.get_run(run)
    except Exception:  # a server may be gone, or keep no runs: the model was had without it
        return {}
    told: dict[str, Any] = {}
    data = found.data
    if data.params:
        told["parameters"] = {key[:_LONGEST]: value[:_LONGEST] for key, value in sorted(data.params.items())[:_MOST]}
    tags = dict(data.tags)
    code = {"uri": tags.get(_REPOSITORY), "revision": tags.get(_COMMIT)}
    if any(code.values()):
        told["code"] = {key: value for key, value in code.items() if value}
    inputs = getattr(found, "inputs", None)
    datasets = [_dataset(one) for one in getattr(inputs, "dataset_inputs", None) or ()][:_MOST]
    if datasets:
        told["datasets"] = datasets
    return told


def _dataset(used: Any) -> dict[str, str]:
    """Its name, digest and source; the digest is MLflow's own, no SHA-256 of bytes."""
    one = used.dataset
    context = next((tag.value for tag in used.tags or () if tag.key == "mlflow.data.context"), "")
    told = {"name": one.name, "digest": one.digest, "source": _source(one.source), "context": context}
    return {key: value for key, value in told.items() if value}


def _source(text: str | None) -> str:
    """Where it came from; MLflow keeps that as JSON, in a form for each kind of place."""
    try:
        told = json.loads(text or "")
    except ValueError:
        return (text or "")[:_LONGEST]
    place = next((told[key] for key in ("uri", "url", "path") if key in told), "") if isinstance(told, dict) else ""
    return str(place)[:_LONGEST]
