"""One pass over one ModelDeployment: observe, plan, write status, apply, tell.

Status goes first, by compare-and-swap: whatever happens after it, the next pass finds the intent and goes on. What
follows from it is in `applying`. A child that the API server refuses is a fact for the planner, so that the status says
so in its words.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from seatrial.api.status import Reason, Status
from seatrial.api.trained import RunOutcome
from seatrial.cluster import access, errors
from seatrial.cluster.events import Events
from seatrial.control import applying, evidence, keys, model_metrics, observing, reports
from seatrial.control.drifting import canaries
from seatrial.control.queue import Key, Result
from seatrial.control.telemetry import Telemetry
from seatrial.rollout import facts, looking, narrative, planner, plans, providing, statuses

_LOG = logging.getLogger(__name__)

REFUSED_AGAIN = 15.0  # seconds until a refused child is tried again; a change of the object is looked at at once


class Reconciler:
    """Looks at one object at a time; the queue sees to it that no two passes share a key."""

    def __init__(
        self,
        *,
        cluster: access.Cluster,
        looks: evidence.Looks,
        reports: reports.Reports,
        events: Events,
        telemetry: Telemetry,
        operator: facts.Operator,
        canaries: canaries.Canaries | None = None,
    ) -> None:
        self._cluster = cluster
        self._canaries = canaries
        self._observer = observing.Observer(cluster=cluster, operator=operator)
        self._looks = looks
        self._reports = reports
        self._events = events
        self._telemetry = telemetry
        self._keys = keys.Keys(cluster)
        self._refusals: dict[Key, facts.Refusal] = {}
        self._untrained: dict[Key, str] = {}  # why the present run's Job could not be made

    async def reconcile(self, key: Key) -> Result:
        """Brings one object a step on.

        Raises:
            ClusterError: to be tried again with backoff; whatever was done so far is found again.
        """
        raw = await self._observer.read(key)
        if raw is None:
            self._refusals.pop(key, None)
            self._untrained.pop(key, None)
            self._telemetry.forget(key)
            self._looks.forget(key)
            self._reports.forget(key)
            if self._canaries is not None:
                self._canaries.forget(key)
            return Result()
        try:
            snapshot, plan = await self._planned(key, raw)
            if plan.irreversible:
                fresh = await self._observer.read(key, live=True)
                if fresh is None:
                    return Result()
                raw = fresh
                snapshot, plan = await self._planned(key, raw, live=True)
        except observing.InvalidSpec as invalid:
            return await self._invalid(key, raw, str(invalid))
        return await self._carry_out(key, raw, snapshot, plan)

    async def _planned(self, key: Key, raw: access.Object, *, live: bool = False) -> tuple[facts.Snapshot, plans.Plan]:
        """What is there and what to do about it: from memory, or live where it can't be undone."""
        observed = providing.settled(await self._observer.snapshot(raw, live=live))
        snapshot = providing.settled(self._reports.attached(key, observed))
        now = self._cluster.server_now()
        look = self._looks.newest(key, looking.question(snapshot, now))
        trained = msgspec.structs.replace(snapshot.training, refused=self._untrained.get(key, ""))
        snapshot = msgspec.structs.replace(snapshot, refused=self._refusals.get(key), look=look, training=trained)
        if self._canaries is not None:
            snapshot = self._canaries.attached(key, snapshot)
        return snapshot, planner.plan(snapshot, now)

    async def _carry_out(self, key: Key, raw: access.Object, snapshot: facts.Snapshot, plan: plans.Plan) -> Result:
        raw = await self._write(key, raw, snapshot.status, plan.status)
        self._count(snapshot.status, plan)
        self._count_runs(key, snapshot.status, plan.status)
        self._telemetry.training(key, model_metrics.of_training(plan.status, snapshot.spec.retraining))
        try:
            refusals = await applying.carry_out(self._cluster, snapshot, plan)
            refusals += await self._make_key(snapshot)
        finally:
            await self._tell(raw, plan.events)
        untrained = await self._train(key, plan)
        if refusals:
            return await self._refused(key, raw, snapshot, refusals[0], plan)
        again = plan.look_again.total_seconds() if plan.look_again is not None else None
        if self._refusals.pop(key, None) is not None:
            again = 0.0  # the status still says that it was refused
        if untrained:
            again = 0.0  # the status still says that it runs
        return Result(look_again_in=again, in_flight=plan.in_flight)

    async def _train(self, key: Key, plan: plans.Plan) -> bool:
        """Makes the Job of the run that status has been written for; whether that was refused."""
        self._untrained.pop(key, None)
        refused = await applying.train(self._cluster, plan.training) if plan.training is not None else ""
        if refused:
            self._untrained[key] = refused
        return bool(refused)

    async def _make_key(self, snapshot: facts.Snapshot) -> tuple[errors.Refused, ...]:
        try:
            await self._keys.ensure(snapshot)
        except errors.Refused as refusal:
            return (refusal,)
        return ()

    async def _write(self, key: Key, raw: access.Object, before: Status, after: Status) -> access.Object:
        """The status, when it differs; somebody else's write in between ends the pass with Conflict."""
        self._telemetry.tell(key, after)
        if after == before:
            return raw
        return await self._cluster.write_status({**raw, "status": msgspec.to_builtins(after)})

    async def _refused(
        self, key: Key, raw: access.Object, snapshot: facts.Snapshot, refusal: errors.Refused, plan: plans.Plan
    ) -> Result:
        own = (Reason.NAME_TAKEN, Reason.GATEWAY_API_MISSING)
        reason = next((one for one in own if refusal.reason == one), Reason.CHILD_REFUSED)
        known = facts.Refusal(reason=reason, message=refusal.message)
        again = Result(look_again_in=REFUSED_AGAIN, in_flight=plan.in_flight)
        if self._refusals.get(key) == known:
            return again
        self._refusals[key] = known
        _LOG.warning("child refused", extra={"key": str(key), "reason": refusal.reason, "error": refusal.message})
        after = statuses.refused(snapshot, plan.status, known, now=self._cluster.server_now())
        await self._write(key, raw, plan.status, after)
        await self._events.post(raw, type="Warning", reason=reason, message=refusal.message)
        return again

    async def _invalid(self, key: Key, raw: access.Object, message: str) -> Result:
        before = observing.status_of(raw)
        generation = observing.owner_of(raw).generation
        after = statuses.unreadable(before, generation=generation, message=message, now=self._cluster.server_now())
        await self._write(key, raw, before, after)
        return Result()

    async def _tell(self, raw: access.Object, events: Sequence[narrative.Event]) -> None:
        for event in events:
            kind: Any = "Warning" if event.warning else "Normal"
            _LOG.info("decided", extra={"object": raw["metadata"]["name"], "reason": event.reason})
            await self._events.post(raw, type=kind, reason=event.reason, message=event.message)

    def _count_runs(self, key: Key, before: Status, after: Status) -> None:
        known = {one.number: one.outcome for one in before.retraining.runs} if before.retraining is not None else {}
        for run in after.retraining.runs if after.retraining is not None else ():
            if run.outcome is not RunOutcome.RUNNING and known.get(run.number, run.outcome) is not run.outcome:
                self._telemetry.run_became(run.trigger, run.outcome)
        trained = after.trained
        self._telemetry.follows(key, trained is not None and (trained.current or trained.next) is not None)

    def _count(self, before: Status, plan: plans.Plan) -> None:
        if narrative.promoted(before, plan.status):
            self._telemetry.promoted()
        rollback = plan.status.last_rollback
        if rollback is None or rollback == before.last_rollback:
            return
        if before.last_rollback is None or before.last_rollback.breach_at != rollback.breach_at:
            self._telemetry.rolled_back(rollback.reason)
        elif rollback.seconds is not None:
            self._telemetry.rollback_completed(seconds=rollback.seconds)
