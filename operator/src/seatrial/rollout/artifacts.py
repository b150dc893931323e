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

    def fetching(self, container: Object, *, volume: str = "claim", optional: bool = False) -> Object:
        """The container with its way to the bytes; `volume` is the claim's name in the pod.

        `optional`: without the Secret it starts all the same, and the store refuses it.
        """
        reach = dict(container)
        if self.secret:
            reach["envFrom"] = [{"secretRef": {"name": self.secret, **({"optional": True} if optional else {})}}]
        if self.claim:
            reach["env"] = [*container["env"], {"name": "SEATRIAL_CLAIM", "value": CLAIM}]
            mount = {"name": volume, "mountPath": CLAIM, "readOnly": True}
            reach["volumeMounts"] = [*container["volumeMounts"], mount]
        return reach

    def volumes(self, *, volume: str = "claim") -> list[Object]:
        """Volumes of the pod."""
        claim = {"claimName": self.claim, "readOnly": True}
        return [{"name": volume, "persistentVolumeClaim": claim}] if self.claim else []
