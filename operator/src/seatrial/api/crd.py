"""The CustomResourceDefinition `modeldeployments.seatrial.dev`: names, columns and subresources around `schema`.

`seatrial generate` writes it to the places where people install it from. Nothing here talks to a cluster.
"""

from __future__ import annotations

from typing import Any

from . import GROUP, KIND, PLURAL, VERSION, schema

NAME = f"{PLURAL}.{GROUP}"
SHORT_NAME = "mdeploy"
CATEGORY = "seatrial"


def document() -> dict[str, Any]:
    """The CRD as JSON data, the same on every call."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": [SHORT_NAME],
                "categories": [CATEGORY],
            },
            "versions": [_version()],
        },
    }


def _version() -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [
            _column("Ready", _ready("status")),
            _column("Status", _ready("reason")),
            _column("Stable", ".status.stable.modelVersion"),
            _column("Candidate", ".status.candidate.modelVersion"),
            _column("Weight", ".status.candidate.weight", kind="integer"),
            _column("Measured", ".status.traffic.measuredShare"),
            _column("Age", ".metadata.creationTimestamp", kind="date"),
            _column("Model", ".spec.model.uri", wide=True),
            _column("Precision", ".status.stable.precision", wide=True),
            _column("Endpoint", ".status.endpoint", wide=True),
            _column("Message", _ready("message"), wide=True),
        ],
        "schema": {"openAPIV3Schema": schema.model_deployment()},
    }


def _ready(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


def _column(name: str, path: str, *, kind: str = "string", wide: bool = False) -> dict[str, Any]:
    return {"name": name, "type": kind, "jsonPath": path, **({"priority": 1} if wide else {})}
