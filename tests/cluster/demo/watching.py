"""What the demo sees: the object's status and the traffic client's books, as values."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from tests.cluster import installation

from seatrial.api.status import Status, Verdict

NAME = "digits"
CLIENT_PORT = 8090


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """The traffic client's totals."""

    sent: int = 0
    ok: int = 0
    model_errors: int = 0
    rejected: int = 0
    shed: int = 0
    lost: int = 0
    wrong: int = 0
    reconnected: int = 0
    versions: dict[str, dict[str, Any]] = {}

    @property
    def not_the_models_fault(self) -> int:
        """Requests that went wrong although no model failed them; lost ones are counted on their own."""
        return self.rejected + self.shed + self.wrong

    def answered_by(self, version: str) -> int:
        return int(self.versions.get(version, {}).get("sent", 0))


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the cluster."""

    generation: int
    status: Status
    books: Books

    @property
    def ready(self) -> tuple[str, str]:
        """Status and reason of the Ready condition."""
        found = next((one for one in self.status.conditions if one.type == "Ready"), None)
        return (found.status.value, found.reason) if found else ("Unknown", "")

    @property
    def message(self) -> str:
        return next((one.message for one in self.status.conditions if one.type == "Ready"), "")

    @property
    def current(self) -> bool:
        return self.status.observed_generation == self.generation

    def verdict(self, version: str) -> Verdict | None:
        return next((one for one in self.status.verdicts if one.model_version == version), None)

    @property
    def settled(self) -> bool:
        """Nothing is under way: no candidate, no soak, and the endpoints have followed the last rollback."""
        rollback = self.status.last_rollback
        drained = rollback is None or rollback.zero_weight_at is not None
        return self.current and self.status.candidate is None and self.status.previous is None and drained


def look(platform: installation.Platform) -> Sight | None:
    """The object as it is now with the client's books; None while there is no object."""
    raw = platform.get("modeldeployments.seatrial.dev", NAME, installation.NAMESPACE)
    if raw is None:
        return None
    return Sight(
        generation=raw["metadata"]["generation"],
        status=msgspec.convert(raw.get("status", {}), Status),
        books=books(platform),
    )


def books(platform: installation.Platform, namespace: str = installation.NAMESPACE) -> Books:
    """What the client counted so far; nothing while it isn't there."""
    pods = [pod for pod in platform.list("pods", namespace, "app=client") if "podIP" in pod["status"]]
    for pod in pods:
        path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}:{CLIENT_PORT}/proxy/stats"
        text = platform.cluster.kubectl("get", "--raw", path, check=False)
        if text.strip():
            return msgspec.convert(json.loads(text), Books)
    return Books()
