"""The PodDisruptionBudget: of stable's pods, when one can be spared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seatrial.api import status
from seatrial.rollout import facts, metadata, names

Object = dict[str, Any]


def of(snapshot: facts.Snapshot, after: status.Status) -> Iterator[Object]:
    if after.stable is None or snapshot.spec.replicas <= 1:
        return
    owner = snapshot.owner
    selector = {
        names.DEPLOYMENT: owner.name,
        names.REVISION: after.stable.revision,
        names.COMPONENT: names.SERVER,
    }
    yield {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata.of(owner, owner.name),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector}},
    }
