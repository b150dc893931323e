"""Whose counters a series holds: a pod's that the API server shows, or that of ours which has ended within the hour.

As in `prometheus.matching`, what the scraper says counts: namespace, uid, pod, address. A pod that is gone is known by
its name alone: within the namespace of the object nobody else can have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from seatrial.prometheus import matching
from seatrial.rollout import facts


class Believed:
    """The pods of one revision.

    Args:
        prefix: what names of its pods begin with.
    """

    def __init__(self, pods: Iterable[facts.Pod], *, namespace: str, prefix: str) -> None:
        self._namespace, self._prefix = namespace, prefix
        own = tuple(pods)
        self._names = {pod.name: pod for pod in own}
        self._uids = {pod.uid: pod.name for pod in own if pod.uid}
        self._ips = {ip: pod.name for pod in own if (ip := matching.address(pod.ip)) is not None}
        self.foreign: set[str] = set()

    def whose(self, labels: Mapping[str, str]) -> str | None:
        """The pod's name; None: nobody's, which is noted."""
        found = self._whose(labels)
        if found is None and len(self.foreign) < 3:
            self.foreign.add(matching.whose(labels))
        return found

    def _whose(self, labels: Mapping[str, str]) -> str | None:
        namespace = labels.get("namespace", "")
        if namespace and namespace != self._namespace:
            return None
        by_uid = self._uids.get(labels.get("uid", "") or labels.get("pod_uid", ""))
        if by_uid is not None:
            return by_uid
        by_address = self._ips.get(matching.address(labels.get("instance", "")) or "")
        name = labels.get("pod", "")
        if not name:
            return by_address
        if name in self._names:
            return name if namespace or by_address == name else None
        return name if namespace and name.startswith(self._prefix) else None
