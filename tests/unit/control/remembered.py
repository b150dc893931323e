"""The small cluster with an operator that reads from memory, which the watch fills in its own time."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any, Self

from tests.unit.control import cluster as clusters

from seatrial.cluster import errors, events, remembering, store
from seatrial.control import reconcile, telemetry, waking
from seatrial.rollout import names


class Watched(clusters.Cluster):
    """A cluster whose operator reads from memory. The watch tells what has changed `late` steps after it did."""

    def __init__(
        self, version: str = "1", *, late: int = 0, wish: Callable[[str], dict[str, Any]] = clusters.spec
    ) -> None:
        self.late = late
        self.told: dict[tuple[str, str, str], str] = {}
        self.under_way: list[list[tuple[str, Any]]] = []
        super().__init__(version, wish=wish)

    def restart(self) -> None:
        self.seen = store.Store(waking.owner_of)
        self.said: list[str] = []
        self.cluster = remembering.Remembering(self.memory, self.seen, owner_label=names.DEPLOYMENT, said=self._hear)
        quiet = events.Events(self.memory, instance="operator-0", failed=lambda: None)
        self.reconciler = reconcile.Reconciler(
            cluster=self.cluster,
            looks=self,
            reports=self,
            events=quiet,
            telemetry=telemetry.Telemetry(),
            operator=clusters.OPERATOR,
        )
        self._happened()
        for (kind, _, _), raw in self.memory.objects.items():
            self._tell(kind, raw)
        self.seen.completed(None)

    def _hear(self, before: Any, after: Any) -> None:
        was = (before.get("status") or {}).get("phase")
        self.said.append(f"{was} {after['status']['phase']}")

    def live(self) -> None:
        super().live()
        self.under_way.append(self._happened())
        while len(self.under_way) > self.late:
            for type_, raw in self.under_way.pop(0):
                self._tell(raw["kind"], raw, gone=type_ == "DELETED")

    def _tell(self, kind: str, raw: Any, *, gone: bool = False) -> None:
        if kind in ("Event", "Lease"):
            return
        (self.seen.drop if gone else self.seen.put)(kind, raw)

    def _happened(self) -> list[tuple[str, Any]]:
        """Events since the last time. What a test changed by hand gets the version that a server would have given."""
        now = {key: _unversioned(raw) for key, raw in self.memory.objects.items()}
        found: list[tuple[str, Any]] = []
        for key, text in now.items():
            if self.told.get(key) != text:
                self.memory._version += 1
                self.memory.objects[key]["metadata"]["resourceVersion"] = str(self.memory._version)
                found.append(("MODIFIED", copy.deepcopy(self.memory.objects[key])))
        for key in self.told.keys() - now.keys():
            self.memory._version += 1
            gone = json.loads(self.told[key])
            gone["metadata"]["resourceVersion"] = str(self.memory._version)
            found.append(("DELETED", gone))
        self.told = now
        return found

    def requests(self) -> list[str]:
        """What is asked of the API server from now on."""
        asked: list[str] = []
        self.memory.before = asked.append
        return asked

    def tell_of_the_object(self) -> None:
        """The watch over ModelDeployments is in time, whatever the others are."""
        self.memory._version += 1
        self.object["metadata"]["resourceVersion"] = str(self.memory._version)
        self._tell("ModelDeployment", copy.deepcopy(self.object))

    async def until_serving(self, version: str) -> Self:
        for _ in range(80):
            if self.serves(version):
                return self
            try:
                await self.step()
            except errors.Conflict:
                self.live()  # tried again with backoff
        raise AssertionError(f"never: {self.status.get('phase')} {self.condition('Ready')}")


def _unversioned(raw: Any) -> str:
    return json.dumps({**raw, "metadata": {**raw["metadata"], "resourceVersion": ""}})
