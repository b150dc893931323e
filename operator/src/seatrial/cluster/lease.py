"""Leader election by a coordination.k8s.io Lease: one replica acts, the others are ready to.

    await lease.acquire()      # returns once this replica leads
    await lease.hold()         # renews for ever; raises LeadershipLost, then the process must stop acting at once
    await lease.release()      # a successor starts at its next look instead of after the lease's duration

The caller ends the process on LeadershipLost: nothing is simpler to be sure of. Before each action it asks `leading`,
which is false as soon as the last renewal is too old, whether or not the renewing task got to run.

Only monotonic time decides: a holder is given up when its record has not changed for the lease's duration as measured
here. Two may act for an instant when a process stands still in the middle of a write; therefore all writes are
idempotent and guarded by resourceVersion.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import msgspec

from seatrial.cluster import access, errors

_LOG = logging.getLogger(__name__)


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. A holder stops acting `duration - deadline` before anybody else may start."""

    duration: int = 15
    deadline: float = 10.0
    retry: float = 2.0


USUAL = Times()


class Lease:
    """This replica's part in the election.

    Args:
        identity: tells replicas apart. A pod's name serves: its container is gone when the next one starts.
    """

    def __init__(
        self,
        cluster: access.Cluster,
        *,
        namespace: str,
        name: str,
        identity: str,
        times: Times = USUAL,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self._cluster = cluster
        self._namespace, self._name = namespace, name
        self._identity = identity
        self._times = times
        self._monotonic = monotonic
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311  spreads retries, keeps no secret
        self._seen_version = ""
        self._seen_at = -math.inf
        self._valid_until = -math.inf
        self._held_by_another = False
        self.looked_at = monotonic()  # last attempt, for the liveness of a replica that waits

    @property
    def leading(self) -> bool:
        """Whether this replica may act now."""
        return self._monotonic() < self._valid_until

    async def acquire(self) -> None:
        """Returns once this replica leads. An API server that doesn't answer is waited for.

        Raises:
            Refused: the API server forbids it, for good; the message says what.
        """
        while not await self._attempt(self._times.deadline):
            await self._sleep(self._times.retry * self._rng.uniform(0.8, 1.2))
        _LOG.info("leading", extra={"lease": f"{self._namespace}/{self._name}", "identity": self._identity})

    async def hold(self) -> NoReturn:
        """Renews until cancelled.

        Raises:
            LeadershipLost: not renewed within the deadline, or somebody else has the lease.
        """
        while True:
            await self._sleep(self._times.retry)
            left = self._valid_until - self._monotonic()
            if left <= 0:
                raise errors.LeadershipLost(f"the lease was not renewed within {self._times.deadline:g} s")
            try:
                renewed = await self._attempt(left)
            except errors.Refused as error:
                _LOG.warning("lease not renewed", extra={"error": str(error)})
                continue
            if not renewed and self._held_by_another:
                self._valid_until = -math.inf
                raise errors.LeadershipLost("another replica has the lease")

    async def release(self) -> None:
        """Gives the lease back, if it is ours; a failure only costs the successor the lease's duration."""
        self._valid_until = -math.inf
        with contextlib.suppress(errors.ClusterError, TimeoutError):
            async with asyncio.timeout(self._times.retry):
                lease = await self._cluster.get("Lease", self._namespace, self._name)
                if lease is not None and lease["spec"].get("holderIdentity") == self._identity:
                    lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._cluster.replace(lease)

    async def _attempt(self, seconds: float) -> bool:
        """Takes or renews the lease within so many seconds; False when it is another's or can't be reached."""
        began = self.looked_at = self._monotonic()
        self._held_by_another = False
        try:
            async with asyncio.timeout(seconds):
                taken = await self._take()
        except (errors.Conflict, errors.Unavailable, errors.NotFound, TimeoutError) as error:
            _LOG.warning("lease not reached", extra={"error": str(error) or type(error).__name__})
            return False
        if taken:
            self._valid_until = began + self._times.deadline  # from before the request: others count from after it
        return taken

    async def _take(self) -> bool:
        lease = await self._cluster.get("Lease", self._namespace, self._name)
        if lease is None:
            await self._cluster.create(self._record({"metadata": {"namespace": self._namespace, "name": self._name}}))
            return True
        if lease["metadata"]["resourceVersion"] != self._seen_version:
            self._seen_version = lease["metadata"]["resourceVersion"]
            self._seen_at = self._monotonic()
        if self._taken_by_another(lease.get("spec") or {}):
            self._held_by_another = True
            return False
        await self._cluster.replace(self._record(lease))
        return True

    def _taken_by_another(self, spec: dict[str, Any]) -> bool:
        holder = spec.get("holderIdentity") or ""
        expires = self._seen_at + (spec.get("leaseDurationSeconds") or self._times.duration)
        return holder not in ("", self._identity) and self._monotonic() < expires

    def _record(self, lease: access.Object) -> access.Object:
        now = self._cluster.server_now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        spec = dict(lease.get("spec") or {})
        if spec.get("holderIdentity") != self._identity:
            spec |= {
                "acquireTime": now,
                "leaseTransitions": (spec.get("leaseTransitions") or 0) + ("acquireTime" in spec),
            }
        spec |= {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._times.duration,
            "renewTime": now,
        }
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": lease["metadata"], "spec": spec}
