"""The cluster with a memory: reads of what is watched cost no request, and own writes are seen at once.

Presence is read from memory; absence only from the API server, since objects without our labels aren't watched. Until
a namespace has been read completely everything is asked of the API server. `live` leaves the memory out: what can't be
undone is decided on that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any

from seatrial.cluster import access, errors, store, trimming


class Remembering:
    """`access.Cluster` over another one and a store.

    Args:
        owner_label: the label by which children are listed.
        said: takes namespace and name whenever a status was written. The watch brings one's own write as nothing new,
            so whoever else rests on that status has to be told.
    """

    def __init__(
        self, live: access.Cluster, seen: store.Store, *, owner_label: str, said: Callable[[str, str], None]
    ) -> None:
        self._live = live
        self._seen = seen
        self._owner_label = owner_label
        self._said = said

    @property
    def live(self) -> access.Cluster:
        return self._live

    async def get(self, kind: str, namespace: str, name: str) -> access.Object | None:
        known = self._seen.get(kind, namespace, name) if self._remembers(kind, namespace) else None
        return known if known is not None else await self._live.get(kind, namespace, name)

    async def list(self, kind: str, namespace: str | None, labels: access.Labels | None = None) -> access.Objects:
        owner = (labels or {}).get(self._owner_label)
        if namespace is None or owner is None or len(labels or {}) != 1 or not self._remembers(kind, namespace):
            return await self._live.list(kind, namespace, labels)
        return self._seen.children(kind, namespace, owner)

    def pages(
        self, kind: str, namespace: str | None, labels: access.Labels | None = None
    ) -> AsyncIterator[access.Objects]:
        return self._live.pages(kind, namespace, labels)

    async def apply(self, wanted: access.Object) -> access.Object:
        return self._wrote(await self._live.apply(wanted))

    async def adopt(self, orphan: Mapping[str, Any], references: access.Objects) -> access.Object:
        return self._wrote(await self._live.adopt(orphan, references))

    async def annotate(self, namespace: str, pod: str, *, uid: str, name: str, text: str | None) -> access.Object:
        return self._wrote(await self._live.annotate(namespace, pod, uid=uid, name=name, text=text))

    async def create(self, wanted: access.Object) -> access.Object:
        return self._wrote(await self._live.create(wanted))

    async def replace(self, changed: access.Object) -> access.Object:
        try:
            return self._wrote(await self._live.replace(changed))
        except errors.Conflict:
            await self._refresh(changed)
            raise

    async def write_status(self, changed: access.Object) -> access.Object:
        try:
            written = self._wrote(await self._live.write_status(changed))
        except errors.Conflict:
            await self._refresh(changed)
            raise
        self._said(written["metadata"]["namespace"], written["metadata"]["name"])
        return written

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str, propagation: str = "Background") -> None:
        await self._live.delete(kind, namespace, name, uid=uid, propagation=propagation)
        if kind in trimming.KINDS:
            self._seen.forget(kind, namespace, name, uid=uid)

    async def pod_log(
        self, namespace: str, pod: str, container: str, *, limit_bytes: int, tail_lines: int | None = None
    ) -> str:
        return await self._live.pod_log(namespace, pod, container, limit_bytes=limit_bytes, tail_lines=tail_lines)

    def server_now(self) -> datetime:
        return self._live.server_now()

    def _remembers(self, kind: str, namespace: str) -> bool:
        return kind in trimming.KINDS and self._seen.complete(namespace)

    def _wrote(self, answer: access.Object) -> access.Object:
        if answer["kind"] in trimming.KINDS:
            self._seen.put(answer["kind"], answer)
        return answer

    async def _refresh(self, stale: access.Object) -> None:
        """What we compared with was old, so the next attempt would be refused again until the watch catches up."""
        meta = stale["metadata"]
        found = await self._live.get(stale["kind"], meta["namespace"], meta["name"])
        if found is not None:
            self._wrote(found)
