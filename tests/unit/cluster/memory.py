"""A cluster in memory for tests of what stands on the API: compare-and-swap, apply, uids; no schema, no watch."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from seatrial.cluster import access, errors


class MemoryCluster:
    """Implements `access.Cluster` over a dict.

    `before` is called first by every method, `admit` with each object to be written: they raise to make a fault. `logs`
    are by pod.
    """

    def __init__(self, now: Callable[[], float] = lambda: 0.0) -> None:
        self.objects: dict[tuple[str, str, str], access.Object] = {}
        self.logs: dict[str, str] = {}
        self.before: Callable[[str], None] = lambda method: None
        self.admit: Callable[[access.Object], None] = lambda wanted: None
        self._now = now
        self._version = 0

    async def get(self, kind: str, namespace: str, name: str) -> access.Object | None:
        self.before("get")
        return copy.deepcopy(self.objects.get((kind, namespace, name)))

    async def list(self, kind: str, namespace: str | None, labels: access.Labels | None = None) -> access.Objects:
        self.before("list")
        return [
            copy.deepcopy(one)
            for (its_kind, its_namespace, _), one in self.objects.items()
            if its_kind == kind
            and namespace in (None, its_namespace)
            and all(
                key in (found := one["metadata"].get("labels", {})) and value in (None, found[key])
                for key, value in (labels or {}).items()
            )
        ]

    @property
    def live(self) -> MemoryCluster:
        return self

    async def pages(
        self, kind: str, namespace: str | None, labels: access.Labels | None = None
    ) -> AsyncIterator[access.Objects]:
        yield await self.list(kind, namespace, labels)

    async def apply(self, wanted: access.Object) -> access.Object:
        self.before("apply")
        current = self.objects.get(self._key(wanted))
        if current is None:
            return self._store(wanted)
        merged = {**current, **wanted, "metadata": {**current["metadata"], **wanted["metadata"]}}
        return copy.deepcopy(current) if merged == current else self._store(merged)

    async def adopt(self, orphan: Mapping[str, Any], references: access.Objects) -> access.Object:
        self.before("adopt")
        current = self.objects.get(self._key(orphan))
        if current is None or current["metadata"]["uid"] != orphan["metadata"]["uid"]:
            raise errors.Conflict("another one")
        return self._store({**current, "metadata": {**current["metadata"], "ownerReferences": references}})

    async def annotate(self, namespace: str, pod: str, *, uid: str, name: str, text: str | None) -> access.Object:
        self.before("annotate")
        current = self.objects.get(("Pod", namespace, pod))
        if current is None:
            raise errors.NotFound("no such pod")
        if current["metadata"]["uid"] != uid:
            raise errors.Conflict("another one")
        kept = {key: value for key, value in (current["metadata"].get("annotations") or {}).items() if key != name}
        annotations = {**kept, name: text} if text is not None else kept
        return self._store({**current, "metadata": {**current["metadata"], "annotations": annotations}})

    async def create(self, wanted: access.Object) -> access.Object:
        self.before("create")
        if self._key(wanted) in self.objects:
            raise errors.Conflict("exists already")
        return self._store(wanted)

    async def replace(self, changed: access.Object) -> access.Object:
        self.before("replace")
        self._current(changed)
        return self._store(changed)

    async def write_status(self, changed: access.Object) -> access.Object:
        self.before("write_status")
        current = self._current(changed)
        return self._store({**current, "status": changed["status"]})

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str, propagation: str = "Background") -> None:
        self.before("delete")
        if self.objects.get((kind, namespace, name), {"metadata": {}})["metadata"].get("uid") == uid:
            del self.objects[kind, namespace, name]

    async def pod_log(
        self, namespace: str, pod: str, container: str, *, limit_bytes: int, tail_lines: int | None = None
    ) -> str:
        self.before("pod_log")
        if pod not in self.logs:
            raise errors.NotFound(f"{pod} has no log")
        return self.logs[pod][:limit_bytes]

    def server_now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._now())

    def _current(self, changed: access.Object) -> access.Object:
        current = self.objects.get(self._key(changed))
        if current is None:
            raise errors.NotFound("no such object")
        if current["metadata"]["resourceVersion"] != changed["metadata"]["resourceVersion"]:
            raise errors.Conflict("changed meanwhile")
        return current

    def _store(self, wanted: access.Object) -> access.Object:
        self.admit(wanted)
        self._version += 1
        stored = copy.deepcopy(wanted)
        stored["metadata"].setdefault("uid", f"uid-{self._version}")
        stored["metadata"].setdefault("creationTimestamp", self.server_now().isoformat().replace("+00:00", "Z"))
        stored["metadata"]["resourceVersion"] = str(self._version)
        self.objects[self._key(stored)] = stored
        return copy.deepcopy(stored)

    @staticmethod
    def _key(one: access.Object) -> tuple[str, str, str]:
        return one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]
