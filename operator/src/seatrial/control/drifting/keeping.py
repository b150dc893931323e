"""The memory of a revision's traffic in a ConfigMap beside its record: written once a day and when an alarm changes.

By compare-and-swap, so that of two operators neither overwrites what the other has found. Without the label that
children are listed by: nobody else needs it. It goes with its revision's record.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import logging
from collections.abc import Sequence

from seatrial.api import API_VERSION, KIND
from seatrial.cluster import access, errors
from seatrial.drift import kept, watch
from seatrial.drift.columns import Column
from seatrial.rollout import facts, names

_LOG = logging.getLogger(__name__)

FILE = "state.json.z"


@dataclasses.dataclass(frozen=True)
class Known:
    """What is on file: the memory, what was accepted, and the object's version (none: it isn't there)."""

    memory: watch.Memory = watch.EMPTY
    accepted: kept.Accepted | None = None
    version: str = ""


class Keeping:
    """Reads and writes memories."""

    def __init__(self, cluster: access.Cluster) -> None:
        self._cluster = cluster

    async def read(self, owner: facts.Owner, revision: str, columns: Sequence[Column], *, hour: int) -> Known:
        """What is on file, as far as it can be used; else nothing of it, so that the windows fill anew."""
        name = names.of_drift(owner.name, revision)
        found = await self._cluster.live.get("ConfigMap", owner.namespace, name)
        if found is None:
            return Known()
        version = str(found["metadata"]["resourceVersion"])
        try:
            content = base64.b64decode((found.get("binaryData") or {}).get(FILE, ""), validate=True)
            memory, accepted = kept.unpack(content, columns, revision=revision, hour=hour)
        except (binascii.Error, TypeError, kept.Unreadable) as error:
            _LOG.warning("drift state unreadable, windows fill anew", extra={"configmap": name, "error": str(error)})
            return Known(version=version)
        return Known(memory, accepted, version)

    async def write(self, owner: facts.Owner, revision: str, content: bytes, *, version: str) -> str:
        """The version that is on file then.

        Raises:
            Conflict: another one is there than was read.
        """
        wanted = await self._object(owner, revision, content)
        if not version:
            return str((await self._cluster.live.create(wanted))["metadata"]["resourceVersion"])
        wanted["metadata"]["resourceVersion"] = version
        try:
            return str((await self._cluster.live.replace(wanted))["metadata"]["resourceVersion"])
        except errors.NotFound:
            del wanted["metadata"]["resourceVersion"]
            return str((await self._cluster.live.create(wanted))["metadata"]["resourceVersion"])

    async def _object(self, owner: facts.Owner, revision: str, content: bytes) -> access.Object:
        record = await self._cluster.get("ControllerRevision", owner.namespace, names.of_revision(owner.name, revision))
        if record is not None:
            reference = {"apiVersion": "apps/v1", "kind": "ControllerRevision", **_identity(record)}
        else:
            reference = {"apiVersion": API_VERSION, "kind": KIND, "name": owner.name, "uid": owner.uid}
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": names.of_drift(owner.name, revision),
                "namespace": owner.namespace,
                "labels": {names.MANAGED_BY: names.MANAGER, names.REVISION: revision},
                "ownerReferences": [reference],
            },
            "binaryData": {FILE: base64.b64encode(content).decode()},
        }


def _identity(raw: access.Object) -> dict[str, str]:
    return {field: raw["metadata"][field] for field in ("name", "uid")}
