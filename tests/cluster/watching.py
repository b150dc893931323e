"""What demo and end-to-end tests see and do: one ModelDeployment, its status, and the traffic client's books."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import yaml
from tests.cluster import installation
from tests.cluster.harness import errors, waiting

from seatrial.api.status import Status, Verdict

RESOURCE = "modeldeployments.seatrial.dev"
CLIENT_PORT = 8090
POLL = 0.5


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """The traffic client's totals."""

    sent: int = 0
    ok: int = 0
    model_errors: int = 0
    rejected: int = 0
    shed: int = 0
    lost: int = 0
    wrong: int = 0
    covered: int = 0
    reconnected: int = 0
    skipped: int = 0
    reasons: dict[str, int] = {}
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
        return self.condition("Ready")[:2]

    @property
    def message(self) -> str:
        return self.condition("Ready")[2]

    @property
    def words(self) -> str:
        """All that is said of it."""
        said = (f"{one.type} {one.status} ({one.reason}): {one.message}" for one in self.status.conditions)
        return "\n".join([str(self.status.phase), *said])

    def condition(self, kind: str) -> tuple[str, str, str]:
        """Status, reason and message."""
        found = next((one for one in self.status.conditions if one.type == kind), None)
        return (found.status.value, found.reason, found.message) if found else ("Unknown", "", "")

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


@dataclasses.dataclass(frozen=True)
class Subject:
    """One ModelDeployment with a traffic client beside it."""

    platform: installation.Platform
    namespace: str = installation.NAMESPACE
    name: str = "digits"

    def apply(self, resource: Mapping[str, Any]) -> None:
        """The resource under this subject's name."""
        identity = {"name": self.name, "namespace": self.namespace}
        self.platform.apply({**resource, "metadata": {**resource.get("metadata", {}), **identity}})

    def raw(self) -> dict[str, Any] | None:
        return self.platform.get(RESOURCE, self.name, self.namespace)

    def look(self) -> Sight | None:
        """The object as it is now with the client's books; None while there is no object."""
        raw = self.raw()
        if raw is None:
            return None
        return Sight(
            generation=raw["metadata"]["generation"],
            status=msgspec.convert(raw.get("status", {}), Status),
            books=self.books(),
        )

    def wait(
        self,
        done: Callable[[Sight], bool],
        *,
        what: str,
        seconds: float,
        show: Callable[[Sight], None] = lambda _: None,
    ) -> Sight:
        """The first sight that is `done`.

        Raises:
            HarnessError: there was none within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while True:
            sight = self.look()
            if sight is not None:
                show(sight)
                if done(sight):
                    return sight
            if time.monotonic() > deadline:
                state = sight.words if sight else "there is no object"
                raise errors.HarnessError(f"{what} did not come within {seconds:.0f} s; {state}")
            time.sleep(POLL)

    def start_client(self, *, seconds: float = 300, **environment: str) -> None:
        """Traffic from a pod in the same namespace; returns with the first good answer. It waits longer than a server
        may take: a request that a busy machine delays is late, and not lost.
        """
        resource = yaml.safe_load((installation.SAMPLES / "client.yaml").read_text())
        resource["metadata"]["namespace"] = self.namespace
        container = resource["spec"]["template"]["spec"]["containers"][0]
        changed = {"TARGET": f"http://{self.name}:8080", "TIMEOUT_SECONDS": "30", **environment}
        container["env"] = [one for one in container["env"] if one["name"] not in changed]
        container["env"] += [{"name": key, "value": value} for key, value in changed.items()]
        self.platform.apply(resource)
        deadline = time.monotonic() + seconds
        while self.books().ok == 0:
            if time.monotonic() > deadline:
                raise errors.HarnessError(f"no good answer to the traffic client in {self.namespace}")
            time.sleep(POLL)

    def scan(self, *, ink: float = 1.0, gaps: float = 0.0) -> None:
        """From now on the client's rows pass through a scanner like this; see its own module."""
        state = json.dumps({"ink": ink, "gaps": gaps})
        for client in self._clients():
            self.platform.cluster.kubectl("create", "--raw", f"{client}/scanner", "-f", "-", input=state)

    def tell(self, command: str, token: str) -> None:
        """Gives a command, as an annotation."""
        words = (f"seatrial.dev/{command}={token}", "--overwrite")
        self.platform.cluster.kubectl("annotate", RESOURCE, self.name, "-n", self.namespace, *words)

    def books(self) -> Books:
        """What the client counted so far; nothing while it isn't there."""
        for client in self._clients():
            text = self.platform.cluster.kubectl("get", "--raw", f"{client}/stats", check=False)
            if text.strip():
                return msgspec.convert(json.loads(text), Books)
        return Books()

    def told(self) -> Books:
        """The books of a client that has had good answers; a question that did not get through says nothing of it."""
        found = Books()

        def had() -> bool:
            nonlocal found
            found = self.books()
            return found.ok > 0

        waiting.until(had, what="the client's books", seconds=60)
        return found

    def _clients(self) -> list[str]:
        """Where the API server reaches the traffic clients."""
        pods = self.platform.list("pods", self.namespace, "app=client")
        names = [pod["metadata"]["name"] for pod in pods if "podIP" in pod["status"]]
        return [f"/api/v1/namespaces/{self.namespace}/pods/{name}:{CLIENT_PORT}/proxy" for name in names]
