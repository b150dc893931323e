"""The cluster behind a real API server: each method of the protocol as the HTTP request it is."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, cast

import msgspec

from seatrial.cluster import access, errors, kinds, rest

_CHUNK = 200
_EXPIRED = 410
_FORBIDDEN = 403


@contextlib.asynccontextmanager
async def connected(*, timeout: float = 10.0) -> AsyncIterator[KubernetesCluster]:
    """A cluster with the pod's service account, else with $KUBECONFIG; `timeout` seconds bound every call."""
    transport = rest.Rest(await rest.configuration(), timeout=timeout)
    try:
        yield KubernetesCluster(transport)
    finally:
        await transport.close()


class KubernetesCluster:
    """`access.Cluster` over HTTP. See there for what each method promises."""

    def __init__(self, transport: rest.Rest) -> None:
        self._rest = transport

    async def get(self, kind: str, namespace: str, name: str) -> access.Object | None:
        try:
            return _object(await self._rest.call("GET", kinds.KINDS[kind].path(namespace, name)))
        except errors.NotFound:
            return None

    @property
    def live(self) -> KubernetesCluster:
        return self

    async def list(self, kind: str, namespace: str | None, labels: access.Labels | None = None) -> access.Objects:
        found = {item["metadata"]["uid"]: item async for page in self.pages(kind, namespace, labels) for item in page}
        return [*found.values()]

    async def pages(
        self, kind: str, namespace: str | None, labels: access.Labels | None = None
    ) -> AsyncIterator[access.Objects]:
        """Begins anew unchunked when the list expires between two chunks; what came before comes again then."""
        query = {"labelSelector": access.selector(labels)} if labels else {}
        page = {**query, "limit": str(_CHUNK)}
        while True:
            try:
                answer = _object(await self._rest.call("GET", kinds.KINDS[kind].path(namespace), query=page))
            except errors.NotFound:
                if kind in kinds.OPTIONAL:
                    return
                raise
            except errors.Refused as error:
                if error.status == _FORBIDDEN and kind in kinds.OPTIONAL:
                    return
                if error.status != _EXPIRED or "continue" not in page:
                    raise
                page = query
                continue
            yield [_item(kind, one) for one in answer.get("items") or []]
            following = answer["metadata"].get("continue")
            if not following:
                return
            page = {**query, "limit": str(_CHUNK), "continue": following}

    async def apply(self, wanted: access.Object) -> access.Object:
        query = {"fieldManager": access.FIELD_MANAGER, "force": "true"}
        return _object(await self._rest.call("PATCH", _path(wanted), query=query, body=wanted, content_type=rest.APPLY))

    async def adopt(self, orphan: Mapping[str, Any], references: access.Objects) -> access.Object:
        query = {"fieldManager": access.FIELD_MANAGER}
        # The uid is a precondition. Not by apply: that would take away what this manager applied before.
        changed = {"metadata": {"uid": orphan["metadata"]["uid"], "ownerReferences": references}}
        return _object(
            await self._rest.call("PATCH", _path(orphan), query=query, body=changed, content_type=rest.MERGE)
        )

    async def annotate(self, namespace: str, pod: str, *, uid: str, name: str, text: str | None) -> access.Object:
        query = {"fieldManager": access.FIELD_MANAGER}
        path = kinds.KINDS["Pod"].path(namespace, pod)
        changed = {"metadata": {"uid": uid, "annotations": {name: text}}}
        try:
            return _object(await self._rest.call("PATCH", path, query=query, body=changed, content_type=rest.MERGE))
        except errors.Refused as refused:
            if "metadata.uid" not in refused.message:  # else it is the precondition: another pod has the name by now
                raise
            raise errors.Conflict(refused.message) from refused

    async def create(self, wanted: access.Object) -> access.Object:
        path = kinds.KINDS[wanted["kind"]].path(wanted["metadata"]["namespace"])
        query = {"fieldManager": access.FIELD_MANAGER}
        return _object(await self._rest.call("POST", path, query=query, body=wanted))

    async def replace(self, changed: access.Object) -> access.Object:
        query = {"fieldManager": access.FIELD_MANAGER}
        return _object(await self._rest.call("PUT", _path(changed), query=query, body=_versioned(changed)))

    async def write_status(self, changed: access.Object) -> access.Object:
        query = {"fieldManager": access.FIELD_MANAGER}
        path = _path(changed, "status")
        return _object(await self._rest.call("PUT", path, query=query, body=_versioned(changed)))

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str, propagation: str = "Background") -> None:
        options = {"preconditions": {"uid": uid}, "propagationPolicy": propagation}
        # 409 is the precondition: another object has the name by now, ours is gone.
        with contextlib.suppress(errors.NotFound, errors.Conflict):
            await self._rest.call("DELETE", kinds.KINDS[kind].path(namespace, name), body=options)

    async def pod_log(
        self, namespace: str, pod: str, container: str, *, limit_bytes: int, tail_lines: int | None = None
    ) -> str:
        query = {"container": container, "limitBytes": str(limit_bytes)}
        if tail_lines is not None:
            query["tailLines"] = str(tail_lines)
        path = kinds.KINDS["Pod"].path(namespace, pod, "log")
        content = await self._rest.call("GET", path, query=query, accept="*/*")
        return content[:limit_bytes].decode(errors="replace")

    def server_now(self) -> datetime:
        return self._rest.server.now()


def _item(kind: str, item: access.Object) -> access.Object:
    item["apiVersion"], item["kind"] = kinds.KINDS[kind].api_version, kind
    item["metadata"].pop("managedFields", None)
    return item


def _path(subject: Mapping[str, Any], subresource: str | None = None) -> str:
    metadata = subject["metadata"]
    return kinds.KINDS[subject["kind"]].path(metadata["namespace"], metadata["name"], subresource)


def _versioned(changed: access.Object) -> access.Object:
    """Without a resourceVersion the API server would overwrite instead of compare."""
    if not changed["metadata"].get("resourceVersion"):
        raise ValueError("metadata.resourceVersion must be the one that was read")
    return changed


def _object(content: bytes) -> access.Object:
    try:
        return cast(access.Object, msgspec.json.decode(content, type=dict))
    except msgspec.DecodeError as error:
        raise errors.Unavailable(f"the API server's answer is not JSON: {error}") from error
