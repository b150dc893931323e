"""What the operator may do with the cluster, as one small protocol over plain dicts in the API's JSON form.

The real one is `seatrial.cluster.kubernetes.KubernetesCluster`; unit tests of the control loop may bring their own.
Every method raises `seatrial.cluster.errors.ClusterError` and nothing else; every call has a deadline of its own.
Writes can be repeated: apply is declarative, replace and write_status compare and swap, delete names a uid.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Protocol, TypeAlias

Object: TypeAlias = dict[str, Any]
Objects: TypeAlias = list[Object]  # in the class below, `list` is the method
Labels: TypeAlias = Mapping[str, str | None]  # None: the label is there, whatever its value

FIELD_MANAGER = "seatrial"


def selector(labels: Labels) -> str:
    """As the API takes it."""
    return ",".join(key if value is None else f"{key}={value}" for key, value in sorted(labels.items()))


class Cluster(Protocol):
    """The cluster as the operator sees it."""

    async def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object, None when there is none."""
        ...

    @property
    def live(self) -> Cluster:
        """The same cluster, whose every answer is the API server's as of now: for what can't be undone."""
        ...

    async def list(self, kind: str, namespace: str | None, labels: Labels | None = None) -> Objects:
        """Objects with these labels, of one namespace or (None) of all, read in chunks.

        Items carry apiVersion and kind as single objects do; managedFields are left out, they are most of the bytes.
        There is nothing on the list where the cluster lacks an optional kind, or doesn't let us read it.
        """
        ...

    def pages(self, kind: str, namespace: str | None, labels: Labels | None = None) -> AsyncIterator[Objects]:
        """The same, chunk by chunk. A list that expires meanwhile begins anew: items can come twice."""
        ...

    async def apply(self, wanted: Object) -> Object:
        """Server-side apply as our field manager, taking over what others set. Identical content changes nothing."""
        ...

    async def adopt(self, orphan: Mapping[str, Any], references: Objects) -> Object:
        """Gives this very object its owners, and changes nothing else of it; Conflict when another has its name."""
        ...

    async def annotate(self, namespace: str, pod: str, *, uid: str, name: str, text: str | None) -> Object:
        """One annotation of this very pod becomes the text, or (None) goes; NotFound or Conflict when it is gone."""
        ...

    async def create(self, wanted: Object) -> Object:
        """Creates; Conflict when the name is taken."""
        ...

    async def replace(self, changed: Object) -> Object:
        """Whole object by compare-and-swap on metadata.resourceVersion; Conflict when it changed meanwhile."""
        ...

    async def write_status(self, changed: Object) -> Object:
        """The status by compare-and-swap on metadata.resourceVersion; Conflict when the object changed meanwhile."""
        ...

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str, propagation: str = "Background") -> None:
        """Deletes this very object; done as well when it is gone or another one has its name."""
        ...

    async def pod_log(
        self, namespace: str, pod: str, container: str, *, limit_bytes: int, tail_lines: int | None = None
    ) -> str:
        """The container's log: from its beginning, or its last lines; at most limit_bytes counted from there."""
        ...

    def server_now(self) -> datetime:
        """The API server's time (UTC); Unavailable before its first answer. Jumps of the local clock don't show."""
        ...
