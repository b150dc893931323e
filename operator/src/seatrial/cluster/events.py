"""Kubernetes Events about decisions, for `kubectl describe` and for people who watch.

An event is a courtesy: that one can't be posted is logged and counted and never stops a reconcile. The same event about
the same object is posted once in a while only, since a level-triggered loop decides the same again and again.
"""

from __future__ import annotations

import collections
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from seatrial.cluster import access, errors

_LOG = logging.getLogger(__name__)

NOTE_LIMIT = 1024  # bytes; the API says characters and counts bytes
_REPORTER = "seatrial.dev/operator"
_QUIET_SECONDS = 600.0
_REMEMBERED = 4096

Type = Literal["Normal", "Warning"]


class Events:
    """Posts events through the cluster's API.

    Args:
        instance: name of this replica's pod.
        failed: called for each event that could not be posted.
    """

    def __init__(
        self,
        cluster: access.Cluster,
        *,
        instance: str,
        failed: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._instance = instance[:128] or "operator"
        self._failed = failed
        self._monotonic = monotonic
        self._posted: collections.OrderedDict[tuple[str, str, str], float] = collections.OrderedDict()

    async def post(self, regarding: Mapping[str, Any], *, type: Type, reason: str, message: str) -> None:
        """One event about an object (its apiVersion, kind and metadata count); never raises a ClusterError."""
        identity = (str(regarding["metadata"].get("uid", "")), reason, message)
        if self._recent(identity):
            return
        try:
            await self._cluster.create(self._event(regarding, type=type, reason=reason, message=message))
        except errors.ClusterError as error:
            self._failed()
            _LOG.warning("event not posted", extra={"reason": reason, "error": str(error)})
            return
        self._remember(identity)

    def _recent(self, identity: tuple[str, str, str]) -> bool:
        at = self._posted.get(identity)
        return at is not None and self._monotonic() - at < _QUIET_SECONDS

    def _remember(self, identity: tuple[str, str, str]) -> None:
        self._posted[identity] = self._monotonic()
        self._posted.move_to_end(identity)
        if len(self._posted) > _REMEMBERED:
            self._posted.popitem(last=False)

    def _event(self, regarding: Mapping[str, Any], *, type: Type, reason: str, message: str) -> access.Object:
        metadata = regarding["metadata"]
        reference = {"apiVersion": regarding["apiVersion"], "kind": regarding["kind"]}
        reference |= {
            field: metadata[field] for field in ("namespace", "name", "uid", "resourceVersion") if field in metadata
        }
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            # Event names follow object names; the suffix keeps two of them apart.
            "metadata": {"namespace": metadata["namespace"], "name": f"{metadata['name']}.{secrets.token_hex(8)}"},
            "eventTime": self._cluster.server_now().isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "type": type,
            "reason": reason,
            "action": reason,
            "note": _cut(message),
            "regarding": reference,
            "reportingController": _REPORTER,
            "reportingInstance": self._instance,
        }


def _cut(message: str) -> str:
    raw = message.encode(errors="replace")
    return message if len(raw) <= NOTE_LIMIT else f"{raw[: NOTE_LIMIT - 3].decode(errors='ignore')}…"
