"""The Secret with the key that answers' tokens are signed with: made once for each object that wants feedback.

The operator may create Secrets and nothing else of them: it never reads the key, and never changes or deletes it. So it
tries to make one every few minutes; where it is there, the API server says so. One that was deleted comes back with
another key, and tokens of the old one are refused then. Whoever wants no gap makes the Secret himself: `key` signs,
`previous` is accepted beside it.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import time
from collections.abc import Callable

from seatrial.cluster import access, errors
from seatrial.rollout import facts, metadata, names

AGAIN_SECONDS = 600.0
KEY_BYTES = 32
FOR_MODELS = {names.FOR_MODELS: "true"}  # without it, a policy keeps Secrets out of pods


class Keys:
    """What was made, or was there, not long ago."""

    def __init__(
        self,
        cluster: access.Cluster,
        *,
        random: Callable[[int], bytes] = secrets.token_bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster, self._random, self._clock = cluster, random, clock
        self._seen: dict[str, float] = {}

    async def ensure(self, snapshot: facts.Snapshot) -> None:
        """Raises ClusterError, Refused among them, when it can't be made."""
        owner, now = snapshot.owner, self._clock()
        if snapshot.spec.monitoring.feedback is None or now - self._seen.get(owner.uid, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return
        self._seen = {uid: at for uid, at in self._seen.items() if now - at < AGAIN_SECONDS}
        with contextlib.suppress(errors.Conflict):  # there it is
            await self._cluster.create(wanted(owner, self._random(KEY_BYTES)))
        self._seen[owner.uid] = now


def wanted(owner: facts.Owner, key: bytes) -> access.Object:
    """Goes with the ModelDeployment, by its owner reference."""
    meta = metadata.of(owner, names.of_keys(owner.name))
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**meta, "labels": {**meta["labels"], **FOR_MODELS}},
        "type": "Opaque",
        "data": {"key": base64.b64encode(key).decode()},
    }
