"""What a container needs to reach the artifact: the Secret's keys as environment, the claim as a read-only volume.

Only for containers that fetch; the server never sees credentials. Pure.
"""

from __future__ import annotations

from typing import Any

import msgspec

Object = dict[str, Any]

CLAIM = "/claim"
_SCHEME = "pvc://"


class Artifact(msgspec.Struct, frozen=True):
    """Where the bytes are, and the name of the Secret that opens the place."""

    uri: str
    secret: str | None = None

    @property
    def claim(self) -> str:
        """Name of the PersistentVolumeClaim, or nothing."""
        return self.uri.removeprefix(_SCHEME).partition("/")[0] if self.uri.startswith(_SCHEME) else ""

    @property
    def way(self) -> tuple[str | None, str]:
        """What the pod needs to get there: the Secret and the claim."""
        return self.secret, self.claim

    def fetching(self, container: Object) -> Object:
        """The container with its way to the bytes."""
        reach = dict(container)
        if self.secret:
            reach["envFrom"] = [{"secretRef": {"name": self.secret}}]
        if self.claim:
            reach["env"] = [*container["env"], {"name": "SEATRIAL_CLAIM", "value": CLAIM}]
            mount = {"name": "claim", "mountPath": CLAIM, "readOnly": True}
            reach["volumeMounts"] = [*container["volumeMounts"], mount]
        return reach

    def volumes(self) -> list[Object]:
        """Volumes of the pod."""
        claim = {"claimName": self.claim, "readOnly": True}
        return [{"name": "claim", "persistentVolumeClaim": claim}] if self.claim else []
