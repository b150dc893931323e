"""The metadata that every child carries: its name, our labels, its owner. Nothing of the parent's is copied down."""

from __future__ import annotations

from typing import Any

from seatrial.api import API_VERSION, KIND

from . import facts, names

Object = dict[str, Any]


def of(owner: facts.Owner, name: str, revision: str | None = None) -> Object:
    """Of a child, or of the child of one revision."""
    reference = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {
        "name": name,
        "namespace": owner.namespace,
        "labels": names.labels(owner.name, revision),
        "ownerReferences": [reference],
    }
