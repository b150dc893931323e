"""The ConfigMap with the live settings: there once one of them isn't as by default, and kept from then on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seatrial.rollout import facts, metadata, monitoring, names

Object = dict[str, Any]

NOTHING = "{}"


def of(snapshot: facts.Snapshot) -> Iterator[Object]:
    owner, text = snapshot.owner, monitoring.render(snapshot.spec.monitoring)
    name = names.of_monitoring(owner.name)
    if text == NOTHING and snapshot.child("ConfigMap", name) is None:
        return
    yield {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata.of(owner, name),
        "data": {monitoring.FILE: text},
    }
