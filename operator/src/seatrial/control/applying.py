"""Carries out a plan by urgency: what pods pass on, traffic, stable, candidate, evidence, deletions. Status has been
written before, events come last, elsewhere.

Traffic follows status at once, whatever else is slow. A child that the API server refuses, or that fails, stops nothing
but what its own revision would need it for: no Deployment without its record and configuration. What went wrong is
reported when all has been tried. Everything can be done twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from seatrial.api.status import Reason
from seatrial.cluster import access, errors, kinds
from seatrial.rollout import facts, metadata, names, plans, traffic
from seatrial.rollout.traffic import gateway

_LOG = logging.getLogger(__name__)

AT_ONCE = 16  # pods whose annotations are written at the same time
WHOLE = ("selector", "rules")


async def carry_out(cluster: access.Cluster, snapshot: facts.Snapshot, plan: plans.Plan) -> tuple[errors.Refused, ...]:
    """Applies and deletes what differs; the refusals, in order.

    Raises:
        ClusterError: something could not be asked for; the rest was, and the next pass goes on.
    """
    work = _Work(cluster, snapshot)
    await asyncio.gather(*(work.try_to(work.annotate(one)) for one in plan.annotations))
    for wanted in plan.apply:
        await work.try_to(work.apply(wanted))
    for orphan in (one for one in snapshot.observed if not _owned(one, snapshot.owner.uid)):
        references = metadata.of(snapshot.owner, orphan["metadata"]["name"])["ownerReferences"]
        await work.try_to(cluster.adopt(orphan, references))
    if plan.evidence is not None:
        await work.keep(plan.evidence)
    for gone in plan.delete:
        await work.try_to(cluster.delete(gone.kind, snapshot.owner.namespace, gone.name, uid=gone.uid))
    if work.failure is not None:
        raise work.failure
    return tuple(work.refusals)


async def train(cluster: access.Cluster, job: access.Object) -> str:
    """Makes a run's Job. What keeps it from being made is no trouble of the object's: it is returned, in words.

    The name is the run's number, so a Job that is there already, and ours, is this very run's.

    Raises:
        ClusterError: the API server is away; the next pass goes on.
    """
    meta = job["metadata"]
    try:
        await cluster.create(job)
    except errors.Conflict:
        taken = await cluster.live.get("Job", meta["namespace"], meta["name"])
        if taken is not None and not _owned(taken, meta["ownerReferences"][0]["uid"]):
            return f"a Job named {meta['name']} exists and belongs to somebody else"
    except errors.Refused as refused:
        return refused.message
    return ""


class _Work:
    """What has gone wrong so far."""

    def __init__(self, cluster: access.Cluster, snapshot: facts.Snapshot) -> None:
        self._cluster = cluster
        self._owner = snapshot.owner
        self._known = {(one["kind"], one["metadata"]["name"]): one for one in snapshot.observed}
        self._incomplete: set[str] = set()  # revisions that lack something their next objects need
        self._turns = asyncio.Semaphore(AT_ONCE)  # they are taken in order, so what ends something goes first
        self.refusals: list[errors.Refused] = []
        self.failure: errors.ClusterError | None = None

    async def try_to(self, write: Any) -> None:
        try:
            await write
        except errors.Refused as refusal:
            self.refusals.append(refusal)
        except errors.ClusterError as failure:
            self.failure = self.failure or failure

    async def annotate(self, wanted: traffic.Annotation) -> None:
        """A pod that is gone passes on nothing; the next pass finds who is there instead."""
        async with self._turns:
            with contextlib.suppress(errors.NotFound, errors.Conflict):
                await self._cluster.annotate(
                    self._owner.namespace, wanted.pod, uid=wanted.uid, name=names.RELAY, text=wanted.text
                )

    async def apply(self, wanted: access.Object) -> None:
        existing = self._known.get((wanted["kind"], wanted["metadata"]["name"]))
        if existing is not None:
            if not contains(existing, wanted):
                await self._write(wanted)
            return
        revision = wanted["metadata"]["labels"].get(names.REVISION)
        if revision in self._incomplete:
            return
        try:
            await self._refuse_a_taken_name(wanted)
            await self._write(wanted)
        except errors.ClusterError:
            if revision is not None:
                self._incomplete.add(revision)
            raise

    async def _write(self, wanted: access.Object) -> None:
        """A kind that isn't installed is no fault of the API server's that time would mend."""
        try:
            await self._cluster.apply(wanted)
        except errors.NotFound as missing:
            if wanted["kind"] not in kinds.OPTIONAL:
                raise
            message = gateway.NOT_INSTALLED
            raise errors.Refused(404, reason=Reason.GATEWAY_API_MISSING, message=message) from missing

    async def keep(self, evidence: access.Object) -> None:
        """What a verdict rests on. The verdict stands without it."""
        try:
            await self._cluster.apply(evidence)
        except errors.ClusterError as error:
            _LOG.warning("evidence not kept", extra={"name": evidence["metadata"]["name"], "error": str(error)})

    async def _refuse_a_taken_name(self, wanted: access.Object) -> None:
        kind, name = wanted["kind"], wanted["metadata"]["name"]
        taken = await self._cluster.get(kind, self._owner.namespace, name)
        if taken is not None and not _owned(taken, self._owner.uid):
            message = f"a {kind} named {name} exists and belongs to somebody else: rename one of the two"
            raise errors.Refused(409, reason=Reason.NAME_TAKEN, message=message)


def _owned(child: Mapping[str, Any], uid: str) -> bool:
    return any(one.get("uid") == uid for one in child["metadata"].get("ownerReferences", ()))


def contains(existing: Any, wanted: Any) -> bool:
    """Whether everything wanted is there already; what others added doesn't matter, except in selectors, where a label
    more means other pods, and in a route's rules, where a filter more means other answers. Lists are compared in order.
    """
    if isinstance(wanted, Mapping):
        return isinstance(existing, Mapping) and all(
            key in existing and (existing[key] == value if key in WHOLE else contains(existing[key], value))
            for key, value in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return (
            isinstance(existing, list)
            and len(existing) == len(wanted)
            and all(contains(one, other) for one, other in zip(existing, wanted, strict=True))
        )
    return bool(existing == wanted)
