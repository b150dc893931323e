"""Memories of a revision in ConfigMaps beside its record, one file each, written by compare-and-swap.

So that of two operators neither overwrites what the other has found. Without the label that children are listed by:
nobody else needs them. They go with their revision's record.
"""

from __future__ import annotations

import base64
import binascii

from seatrial.api import API_VERSION, KIND
from seatrial.cluster import access, errors
from seatrial.rollout import facts, names


class Unreadable(ValueError):
    """Somebody has spoilt the file; the text says how. `version`: of the object that is there."""

    def __init__(self, text: str, version: str) -> None:
        super().__init__(text)
        self.version = version


class States:
    """Reads and writes the file of this name."""

    def __init__(self, cluster: access.Cluster, file: str) -> None:
        self._cluster, self._file = cluster, file

    async def read(self, namespace: str, name: str) -> tuple[bytes, str]:
        """The content and the object's version; both empty where there is none.

        Raises:
            Unreadable: there is an object without it.
        """
        found = await self._cluster.live.get("ConfigMap", namespace, name)
        if found is None:
            return b"", ""
        version = str(found["metadata"]["resourceVersion"])
        try:
            return base64.b64decode((found.get("binaryData") or {}).get(self._file, ""), validate=True), version
        except (binascii.Error, TypeError) as error:
            raise Unreadable(str(error), version) from error

    async def write(self, owner: facts.Owner, revision: str, name: str, content: bytes, *, version: str) -> str:
        """The version that is on file then.

        Raises:
            Conflict: another one is there than was read.
        """
        wanted = await self._object(owner, revision, name, content)
        if not version:
            return str((await self._cluster.live.create(wanted))["metadata"]["resourceVersion"])
        wanted["metadata"]["resourceVersion"] = version
        try:
            return str((await self._cluster.live.replace(wanted))["metadata"]["resourceVersion"])
        except errors.NotFound:
            del wanted["metadata"]["resourceVersion"]
            return str((await self._cluster.live.create(wanted))["metadata"]["resourceVersion"])

    async def _object(self, owner: facts.Owner, revision: str, name: str, content: bytes) -> access.Object:
        record = await self._cluster.get("ControllerRevision", owner.namespace, names.of_revision(owner.name, revision))
        if record is not None:
            reference = {"apiVersion": "apps/v1", "kind": "ControllerRevision", **_identity(record)}
        else:
            reference = {"apiVersion": API_VERSION, "kind": KIND, "name": owner.name, "uid": owner.uid}
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": owner.namespace,
                "labels": {names.MANAGED_BY: names.MANAGER, names.REVISION: revision},
                "ownerReferences": [reference],
            },
            "binaryData": {self._file: base64.b64encode(content).decode()},
        }


def _identity(raw: access.Object) -> dict[str, str]:
    return {field: raw["metadata"][field] for field in ("name", "uid")}
