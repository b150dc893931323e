"""The answers and inputs of candidates with traffic, beside the pass: one task for each rollout that is in a step.

Every look asks for all of the step again, so it remembers nothing. It is no condition of a rollout: where Prometheus
can't be asked, or a package has no reference rows, nothing is said.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import math
from collections.abc import Callable
from datetime import datetime

import msgspec

from seatrial.api import spec
from seatrial.api import stage as stages
from seatrial.cluster import errors as errors_
from seatrial.control import queue, sources
from seatrial.control.drifting import believing
from seatrial.drift import canary, profile, totals
from seatrial.drift.columns import Column, Kind
from seatrial.prometheus import errors, query
from seatrial.rollout import drifting, facts, names

_LOG = logging.getLogger(__name__)

SHORTEST = 15
"""Seconds of a slot, and between looks."""
MOST_SLOTS = 120
LAG = 5.0
SCRAPES = 4
"""Scrape intervals without a sample, until a pod counts as silent."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is judged: two revisions from when the step's weight was asked for."""

    uid: str
    stable: str
    candidate: str
    since: datetime


class Canaries:
    """Looks at steps, kept new.

    Args:
        ring: called when a key has something new to be said.
        clock: the API server's time.
    """

    def __init__(
        self, origin: sources.Sources, *, ring: Callable[[queue.Key], None], clock: Callable[[], datetime]
    ) -> None:
        self._sources, self._ring, self._clock = origin, ring, clock
        self.watches: dict[queue.Key, Watch] = {}

    def attached(self, key: queue.Key, snapshot: facts.Snapshot) -> facts.Snapshot:
        """The snapshot with what was found last; never waits."""
        subject = _subject(snapshot)
        if subject is None or not self._sources.named(snapshot.spec.analysis.prometheus):
            self.forget(key)
            return snapshot
        known = self.watches.get(key)
        if known is None or known.subject != subject:
            self.forget(key)
            ring = self._ring
            known = Watch(subject, snapshot, self._sources, ring=lambda: ring(key), clock=self._clock)
            self.watches[key] = known
        known.snapshot = snapshot
        return msgspec.structs.replace(snapshot, moved=known.found)

    def forget(self, key: queue.Key) -> None:
        """Nothing of it is judged any more."""
        watch = self.watches.pop(key, None)
        if watch is not None:
            watch.cancel()

    async def close(self) -> None:
        """Ends every task."""
        watches = list(self.watches.values())
        for key in list(self.watches):
            self.forget(key)
        await asyncio.gather(*(watch.ended() for watch in watches))


def _subject(snapshot: facts.Snapshot) -> Subject | None:
    stable, candidate = snapshot.status.stable, snapshot.status.candidate
    if stable is None or candidate is None or candidate.weight_since is None or not 0 < candidate.weight < 100:
        return None
    counted = snapshot.spec.monitoring.drift.mode is spec.DriftMode.WATCH
    if not counted or not isinstance(stages.of(candidate), stages.Step | stages.Promoting):
        return None
    since = candidate.weight_since
    return Subject(uid=snapshot.owner.uid, stable=stable.revision, candidate=candidate.revision, since=since)


class Watch:
    """One step: what was found last, and the task that looks again."""

    def __init__(
        self,
        subject: Subject,
        snapshot: facts.Snapshot,
        origin: sources.Sources,
        *,
        ring: Callable[[], None],
        clock: Callable[[], datetime],
    ) -> None:
        self.subject, self.snapshot = subject, snapshot
        self.found: canary.Found | None = None
        self._sources, self._ring, self._clock = origin, ring, clock
        self._columns = {one: _columns(snapshot, one) for one in (subject.stable, subject.candidate)}
        self._task = asyncio.create_task(self._run(), name=f"answers of {snapshot.owner.name}")

    def cancel(self) -> None:
        self._task.cancel()

    async def ended(self) -> None:
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        if not all(self._columns.values()):
            return
        while True:
            await asyncio.sleep(max(SHORTEST, self.snapshot.spec.analysis.interval.total_seconds()))
            try:
                found = await self.look()
            except (errors.PrometheusError, errors_.ClusterError, ValueError) as error:
                _LOG.info("answers not seen", extra={"object": self.snapshot.owner.name, "error": str(error)})
                continue
            except Exception:  # whatever one look provokes, the next one is taken
                _LOG.exception("answers not judged", extra={"object": self.snapshot.owner.name})
                continue
            if found != self.found:
                self.found = found
                self._ring()

    async def look(self) -> canary.Found:
        """What all of the step says up to now. Raises PrometheusError, or ValueError for an answer of another form."""
        since, now = self.subject.since.timestamp(), self._clock().timestamp() - LAG
        interval = max(SHORTEST, math.ceil(self.snapshot.spec.analysis.interval.total_seconds()))
        step = interval * max(1, math.ceil((now - since) / interval / MOST_SLOTS))
        start, end = math.ceil(since / step) * step, math.floor(now / step) * step
        if end < start + 2 * step:
            return canary.Found()
        arms = [
            await self._arm(revision, start=start, end=end, step=step)
            for revision in (self.subject.stable, self.subject.candidate)
        ]
        wish = self.snapshot.spec
        work = functools.partial(
            canary.judge,
            *arms,
            margin=wish.analysis.answers.tolerance,
            rate=wish.analysis.false_rollback_rate / max(1, len(self.snapshot.steps)),
            policy=drifting.policy(wish.monitoring.drift),
        )
        return await self._sources.worked_out(work)

    async def _arm(self, revision: str, *, start: int, end: int, step: int) -> canary.Arm:
        owner, wish = self.snapshot.owner, self.snapshot.spec
        hourly = sources.Hourly(
            namespace=owner.namespace, source=wish.analysis.prometheus, start=start, end=end, step=step
        )
        subject = query.Subject(namespace=owner.namespace, name=owner.name, revisions=(revision,))
        silent = math.ceil(SCRAPES * self.snapshot.operator.scrape_interval.total_seconds())
        answer = await self._sources.totals(hourly, query.rows(subject, seconds=max(step, silent)))
        pods = [pod for pod in self.snapshot.pods if pod.revision == revision]
        believed = believing.Believed(
            pods, namespace=owner.namespace, prefix=f"{names.of_revision(owner.name, revision)}-"
        )
        started = {pod.name: pod.started_at.timestamp() for pod in pods if pod.started_at is not None}
        columns = self._columns[revision]
        slots = await self._sources.worked_out(
            functools.partial(totals.hours, answer, columns, seconds=step, whose=believed.whose, started=started)
        )
        return canary.Arm(columns=columns, slots=slots)


def _columns(snapshot: facts.Snapshot, revision: str) -> tuple[Column, ...]:
    """Features and predictions; none where there is nothing to hold traffic against."""
    known = snapshot.reports.get(revision)
    try:
        found = () if known is None else profile.columns(bytes(known.profile))
    except profile.Unusable:
        return ()
    return tuple(one for one in found if one.kind is not Kind.ATTRIBUTION)
