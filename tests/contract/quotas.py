"""Quotas as they count: where objects are admitted, which learns of them a moment after they have been stored."""

from __future__ import annotations

import json
from typing import Any

from tests.cluster.harness import apiserver, errors, waiting

_SECONDS = 60
_JOB = {
    "restartPolicy": "Never",
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [{"name": "probe", "image": "probe:1"}],
}
CONFIG_MAP: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}}
JOB: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "probe"},
    "spec": {"template": {"spec": _JOB}},
}


def until_refused(api: apiserver.ApiServer, namespace: str, probe: dict[str, Any]) -> None:
    """Returns when another one like this would exceed a quota of the namespace."""
    waiting.until(
        lambda: "exceeded quota" in _said(api, namespace, probe),
        what="quota in force",
        seconds=_SECONDS,
        explain=lambda: _said(api, namespace, probe),
    )


def until_admitted(api: apiserver.ApiServer, namespace: str, probe: dict[str, Any]) -> None:
    """Returns when nothing is against another one like this."""
    waiting.until(
        lambda: not _said(api, namespace, probe),
        what="quota gone",
        seconds=_SECONDS,
        explain=lambda: _said(api, namespace, probe),
    )


def _said(api: apiserver.ApiServer, namespace: str, probe: dict[str, Any]) -> str:
    """The refusal; nothing is stored."""
    try:
        api.kubectl("create", "--dry-run=server", "-n", namespace, "-f", "-", input=json.dumps(probe))
    except errors.CommandFailed as refusal:
        return str(refusal)
    return ""
