"""One replica of the operator, put together: it waits for the lease, leads, and leaves in order.

    standby --- lease ---> leading: watch -> queue -> workers(reconcile), resync
       |                      |
       +------ SIGTERM -------+--> no further look, the running ones finish, lease released, exit 0
                              +--> lease lost or watch dead: everything is cancelled, exit 1, Kubernetes starts it anew

The watch runs on the leader only; a standby costs one request every two seconds. Everything here is I/O and order;
decisions are made behind `reconcile`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import random
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from seatrial import api
from seatrial.cluster import access, errors, events, kubernetes, lease, remembering, store
from seatrial.control import evidence, logs, probes, queue, reports, resync, sources, telemetry, waking, wiring, workers
from seatrial.control import settings as settings_
from seatrial.control.drifting import asking, canaries, controller
from seatrial.control.drifting import direct as pods_directly
from seatrial.control.labelling import asking as labels
from seatrial.control.labelling import controller as labelling
from seatrial.prometheus import client, pods
from seatrial.rollout import names

_LOG = logging.getLogger(__name__)

FILL_SECONDS = 30.0  # looks begin then even if the memory isn't filled; they ask the API server instead
STUCK_SECONDS = 300.0
STANDBY_STUCK_SECONDS = 60.0
DRAIN_SECONDS = 8.0
WATCH_STOP_SECONDS = 3.0
BESIDE_WORKERS = 8
BESIDE_LOOK_SECONDS = 300.0  # an answer that doesn't fit is asked for in pieces
SWITCH_SECONDS = 0.001  # a busy watch thread would otherwise hold up each answer for looks and lease by 5 ms


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a reconciler is made of. `cluster` remembers what is watched; `seen` is that memory."""

    cluster: access.Cluster
    seen: store.Store
    looks: evidence.Evidence
    reports: reports.PodReports
    canaries: canaries.Canaries
    queue: queue.Queue
    events: events.Events
    telemetry: telemetry.Telemetry
    settings: settings_.Settings


Build = Callable[[Parts], workers.Reconcile]


def start(settings: settings_.Settings, build: Build) -> int:
    """Runs the process; its exit status: 0 when it was told to stop, 1 when it can't go on and should be restarted."""
    logs.configure(settings.log_level)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        asyncio.run(run(settings, build))
    except errors.ClusterError as error:
        _LOG.error("ended", extra={"error": str(error), "kind": type(error).__name__})
        return 1
    except Exception:
        _LOG.exception("ended by a fault")
        return 1
    return 0


async def run(settings: settings_.Settings, build: Build) -> None:
    """Runs until SIGTERM or SIGINT.

    Raises:
        LeadershipLost: another replica may lead; the process must end.
        NotFound: the kind ModelDeployment isn't installed.
        ClusterError: no credentials, or the API server refuses what the operator needs.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with contextlib.AsyncExitStack() as stack:
        live = await stack.enter_async_context(kubernetes.connected())
        seen = store.Store(waking.owner_of)
        keys, drifts, labelled = (_queue() for _ in range(3))
        direct = await stack.enter_async_context(pods.connected())

        def ring(key: queue.Key) -> None:
            keys.add(key, lane=queue.Lane.ROLLOUT)

        def of_rollout(before: access.Object | None, after: access.Object) -> None:
            """Those beside it watch the version that serves."""
            if before is None or waking.stable(before) != waking.stable(after):
                for one in (drifts, labelled):
                    one.add(waking.key(after), after=waking.WITH_COMPANY)

        def beside_it(_: access.Object | None, after: access.Object) -> None:
            """Retraining rests on what they find."""
            ring(waking.key(after))

        cluster = remembering.Remembering(live, seen, owner_label=names.DEPLOYMENT, said=of_rollout)
        watching = remembering.Remembering(live, seen, owner_label=names.DEPLOYMENT, said=beside_it)
        origin = sources.Sources(
            await stack.enter_async_context(client.connected()),
            direct,
            policy=settings.sources,
            secrets=lambda namespace, name: live.get("Secret", namespace, name),
        )
        looks = evidence.Evidence(origin, ring=ring, clock=cluster.server_now)
        stack.push_async_callback(looks.close)
        said = reports.PodReports(direct.fetch, ring=ring, clock=cluster.server_now)
        stack.push_async_callback(said.close)
        compared = canaries.Canaries(origin, ring=ring, clock=cluster.server_now)
        stack.push_async_callback(compared.close)
        metrics = telemetry.Telemetry()
        posted = events.Events(live, instance=settings.pod_name, failed=metrics.event_failed)
        parts = Parts(
            cluster=cluster,
            seen=seen,
            looks=looks,
            reports=said,
            canaries=compared,
            queue=keys,
            events=posted,
            telemetry=metrics,
            settings=settings,
        )
        drift = controller.Controller(
            cluster=watching,
            ask=asking.Asking(origin, pods_directly.Direct(direct.fetch, origin.worked_out)),
            worked_out=origin.worked_out,
            events=posted,
            telemetry=metrics,
            hour=settings.drift_hour,
        )
        quality = labelling.Controller(
            cluster=watching,
            ask=labels.Asking(origin),
            worked_out=origin.worked_out,
            events=posted,
            telemetry=metrics,
            hour=settings.drift_hour,
        )
        beside = {
            "drift": (drifts, drift.look, metrics.drift_looks),
            "quality": (labelled, quality.look, metrics.quality_looks),
        }
        replica = Replica(parts, build(parts), beside=beside, stopping=stopping)
        await stack.enter_async_context(
            probes.serving(
                healthy=replica.unhealthy,
                ready=replica.unready,
                metrics=metrics.text,
                probe_port=settings.probe_port,
                metrics_port=settings.metrics_port,
            )
        )
        await replica.run()


def _queue() -> queue.Queue:
    return queue.Queue(now=time.monotonic, rng=random.Random())  # noqa: S311  spreads load, keeps no secret


Beside = Mapping[str, tuple[queue.Queue, workers.Reconcile, workers.Counted]]
"""What is watched beside the rollouts, by name: its queue, the look, and where it is told how looks went."""


@dataclasses.dataclass(frozen=True)
class _Watching:
    """One of them, with its queue."""

    name: str
    keys: queue.Queue
    working: workers.Workers


class Replica:
    """One operator process after its parts are connected."""

    def __init__(self, parts: Parts, reconcile: workers.Reconcile, *, beside: Beside, stopping: asyncio.Event) -> None:
        self._parts = parts
        self._stopping = stopping
        self._rng = random.Random()  # noqa: S311  spreads load, keeps no secret
        self._queue = parts.queue
        self._lease = lease.Lease(
            parts.cluster.live,
            namespace=parts.settings.pod_namespace,
            name=parts.settings.lease_name,
            identity=parts.settings.pod_name,
        )
        self._workers = workers.Workers(
            self._queue,
            reconcile,
            telemetry=parts.telemetry,
            count=parts.settings.workers,
            may_act=lambda: self._lease.leading,
        )
        self._beside = [self._watching(name, *one) for name, one in beside.items()]
        self._resync = resync.Resync(
            parts.cluster,
            parts.seen,
            queue=self._queue,
            woken=self._wake,
            namespaces=parts.settings.namespaces,
            rng=self._rng,
        )
        self._filled = False
        parts.telemetry.watch(depth=lambda: len(self._queue), leading=lambda: self._lease.leading)

    def _watching(self, name: str, keys: queue.Queue, look: workers.Reconcile, told: workers.Counted) -> _Watching:
        """A queue and workers of its own, so that nothing that is watched beside the rollouts holds them up."""
        working = workers.Workers(
            keys,
            look,
            telemetry=told,
            count=BESIDE_WORKERS,
            may_act=lambda: self._lease.leading,
            look_timeout=BESIDE_LOOK_SECONDS,
        )
        return _Watching(name, keys, working)

    def unhealthy(self) -> str:
        """Why this process should be restarted; nothing when it shouldn't."""
        now = time.monotonic()
        if not self._lease.leading:
            quiet = now - self._lease.looked_at
            return f"the lease was last looked at {quiet:.0f} s ago" if quiet > STANDBY_STUCK_SECONDS else ""
        if self._workers.stuck(STUCK_SECONDS):
            return f"no look was finished for {STUCK_SECONDS:.0f} s while ModelDeployments are waiting"
        if now - self._resync.at > 3 * resync.SECONDS:
            return f"the last resync was {now - self._resync.at:.0f} s ago"
        return ""

    def unready(self) -> str:
        """A standby is ready: it can take over at any time."""
        return "stopping" if self._stopping.is_set() else ""

    async def run(self) -> None:
        """Standby, then leading, until told to stop."""
        await _until(self._stopping, self._lease.acquire())
        if self._stopping.is_set():
            # A stop can arrive in the same instant as the lease.
            await self._lease.release()
            return
        observe = self._observing(asyncio.get_running_loop())
        watches = wiring.Watches(observe, namespaces=self._parts.settings.namespaces)
        try:
            await self._lead(watches)
        finally:
            await watches.stop(seconds=WATCH_STOP_SECONDS)
        _LOG.info("stopped")

    async def _lead(self, watches: wiring.Watches) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                lasting: list[asyncio.Task[None]] = [tasks.create_task(self._lease.hold(), name="lease")]
                await _until(self._stopping, self._fill())
                lasting += [
                    tasks.create_task(watches.run(), name="watch"),
                    tasks.create_task(self._resync.run(filled=self._filled), name="resync"),
                ]
                working = [
                    tasks.create_task(self._workers.run(), name="workers"),
                    *(tasks.create_task(one.working.run(), name=one.name) for one in self._beside),
                ]
                await self._stopping.wait()
                _LOG.info("stopping")
                self._workers.stop()
                for one in self._beside:
                    one.working.stop()
                await asyncio.wait(working, timeout=DRAIN_SECONDS)
                for task in (*lasting, *working):
                    task.cancel()
        except ExceptionGroup as group:
            # Several can fail at once; to have lost the lease outweighs the rest: it is not ours to release then.
            lost, others = group.split(errors.LeadershipLost)
            if lost is None:
                await self._lease.release()
            raise _first(lost or others or group) from None
        await self._lease.release()

    async def _fill(self) -> None:
        """The memory before the first look, so that a start with many objects doesn't ask for each one's children, and
        before the watch, which lists everything once more and would take half of the CPU.
        """
        try:
            async with asyncio.timeout(FILL_SECONDS):
                await self._resync.once()
            self._filled = True
        except (errors.Unavailable, TimeoutError) as error:
            _LOG.warning("resync failed", extra={"error": str(error) or type(error).__name__})

    def _observing(self, loop: asyncio.AbstractEventLoop) -> wiring.Observe:
        """What the watch calls in its own thread: the memory first, then the queue's thread is told."""
        seen = self._parts.seen

        def observe(kind: str, type_: str | None, raw: access.Object) -> None:
            change = seen.drop(kind, raw) if type_ == "DELETED" else seen.put(kind, raw)
            if type_ is None and change is not None and self._filled:
                loop.call_soon_threadsafe(self._resync.soon)
            if change is not None:
                loop.call_soon_threadsafe(self._wake, change)

        return observe

    def _wake(self, change: store.Change) -> None:
        for asked in waking.wakes(change, self._parts.seen):
            self._queue.add(asked.key, after=asked.after, lane=asked.lane)
            if change.kind == api.KIND:
                for one in self._beside:
                    one.keys.add(asked.key, after=waking.WITH_COMPANY)


def _first(group: ExceptionGroup[Exception]) -> Exception:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, ExceptionGroup) else found


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Awaits the work, or ends it when the event comes."""
    task = asyncio.create_task(work)
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        for one in (task, waiting):
            one.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)
