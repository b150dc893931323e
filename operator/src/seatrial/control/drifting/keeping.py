"""The memory of a revision's traffic in a ConfigMap beside its record: written once a day and when an alarm changes."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

from seatrial.cluster import access
from seatrial.control import states
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
        self._states = states.States(cluster, FILE)

    async def read(self, owner: facts.Owner, revision: str, columns: Sequence[Column], *, hour: int) -> Known:
        """What is on file, as far as it can be used; else nothing of it, so that the windows fill anew."""
        name, version = names.of_drift(owner.name, revision), ""
        try:
            content, version = await self._states.read(owner.namespace, name)
            if not version:
                return Known()
            memory, accepted = kept.unpack(content, columns, revision=revision, hour=hour)
        except (states.Unreadable, kept.Unreadable) as error:
            _LOG.warning("drift state unreadable, windows fill anew", extra={"configmap": name, "error": str(error)})
            return Known(version=error.version if isinstance(error, states.Unreadable) else version)
        return Known(memory, accepted, version)

    async def write(self, owner: facts.Owner, revision: str, content: bytes, *, version: str) -> str:
        """The version that is on file then. Raises Conflict."""
        name = names.of_drift(owner.name, revision)
        return await self._states.write(owner, revision, name, content, version=version)
