"""What pods say of their relay, read from the pods themselves beside the loop, so that no pass waits for them.

One task for each object whose pods pass requests on, or may not have stopped to. It asks every few seconds, and several
times a second while requests are being taken back: from that on, how long a rollback took is what it tells. A pass gets
what is known; the queue is rung when something has changed that a pass acts on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
from prometheus_client import parser

from seatrial.control import queue
from seatrial.rollout import facts, traffic

_LOG = logging.getLogger(__name__)

USUALLY = 2.0  # seconds between two rounds of questions
HURRIED = 0.2  # the same while requests are being taken back
MOST = 100  # questions a second, whatever the number of pods
OLD = timedelta(seconds=15)  # a report of before says nothing about now
AT_ONCE = 32
RATIO = "seatrial_relay_ratio"
IN_FLIGHT = "seatrial_relay_in_flight_requests"
_PREFIXES = (RATIO.encode(), IN_FLIGHT.encode())

Fetch = Callable[[str], Awaitable[bytes | str]]
"""Takes an address and gives what the pod there exports, or as text why it doesn't."""


class Reports(Protocol):
    """Where a pass gets the pods' reports from, without waiting."""

    def attached(self, key: queue.Key, snapshot: facts.Snapshot) -> facts.Snapshot: ...

    def forget(self, key: queue.Key) -> None: ...


class PodReports:
    """Reports, kept new.

    Args:
        ring: called when a key has a report that a pass should see.
        clock: the API server's time.
    """

    def __init__(self, fetch: Fetch, *, ring: Callable[[queue.Key], None], clock: Callable[[], datetime]) -> None:
        self._fetch = fetch
        self._ring = ring
        self._clock = clock
        self._watches: dict[queue.Key, _Watch] = {}

    def attached(self, key: queue.Key, snapshot: facts.Snapshot) -> facts.Snapshot:
        """The snapshot whose pods have their reports, as far as they are known and not old. Never waits."""
        asked = traffic.asked_pods(snapshot)
        if not asked:
            self.forget(key)
            return snapshot
        watch = self._watches.get(key)
        if watch is None:
            watch = self._watches[key] = _Watch(self._fetch, ring=lambda: self._ring(key), clock=self._clock)
        passed_on = snapshot.status.traffic
        watch.pods = {pod.uid: pod.ip for pod in asked}
        watch.hurry(passed_on is not None and passed_on.withdrawn_at is not None)
        since = self._clock() - OLD
        known = {uid: one for uid, one in watch.known.items() if one.at >= since}
        pods = tuple(msgspec.structs.replace(pod, relay=known.get(pod.uid)) for pod in snapshot.pods)
        return msgspec.structs.replace(snapshot, pods=pods)

    def forget(self, key: queue.Key) -> None:
        """The object is gone, or its pods pass on nothing."""
        watch = self._watches.pop(key, None)
        if watch is not None:
            watch.cancel()

    async def close(self) -> None:
        """Ends every watch."""
        watches = list(self._watches.values())
        for key in list(self._watches):
            self.forget(key)
        await asyncio.gather(*(watch.ended() for watch in watches))


class _Watch:
    """The pods of one object."""

    def __init__(self, fetch: Fetch, *, ring: Callable[[], None], clock: Callable[[], datetime]) -> None:
        self.pods: Mapping[str, str] = {}  # addresses by uid
        self.known: dict[str, facts.RelayReport] = {}
        self._fetch = fetch
        self._ring = ring
        self._clock = clock
        self._hurried = asyncio.Event()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._task = asyncio.create_task(self._run(), name="reports")

    def hurry(self, urgent: bool) -> None:
        """From now on; the next question comes at once where it has become urgent."""
        if urgent:
            self._hurried.set()
        else:
            self._hurried.clear()

    def cancel(self) -> None:
        self._task.cancel()

    async def ended(self) -> None:
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._ask()
            except Exception:
                _LOG.exception("reports not read")
            await self._pause()

    async def _pause(self) -> None:
        least = len(self.pods) / MOST
        if self._hurried.is_set():
            await asyncio.sleep(max(HURRIED, least))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(USUALLY, least)):
                await self._hurried.wait()

    async def _ask(self) -> None:
        before, pods = {uid: _gist(one) for uid, one in self.known.items()}, dict(self.pods)
        answers = await asyncio.gather(*(self._of(ip) for ip in pods.values()))
        found = {uid: one for uid, one in zip(pods, answers, strict=True) if one is not None}
        kept = {uid: one for uid, one in self.known.items() if uid in pods}
        self.known = {**kept, **found}
        if {uid: _gist(one) for uid, one in self.known.items()} != before:
            self._ring()

    async def _of(self, ip: str) -> facts.RelayReport | None:
        """A report is as old as the question: what the pod was told later it may not have known."""
        async with self._turns:
            at = self._clock()
            answer = await self._fetch(ip)
        return read(answer, at=at) if isinstance(answer, bytes) else None


def read(exposition: bytes, *, at: datetime) -> facts.RelayReport | None:
    """What an exposition says of the relay; None where it isn't the text format."""
    lines = [line for line in exposition.splitlines() if line.startswith(_PREFIXES)]
    ratio: dict[str, float] = {}
    in_flight: float | None = None
    try:
        for family in parser.text_string_to_metric_families(b"\n".join([*lines, b""]).decode()):
            for sample in family.samples:
                if sample.name == RATIO and "candidate" in sample.labels:
                    ratio[sample.labels["candidate"]] = sample.value
                elif sample.name == IN_FLIGHT:
                    in_flight = sample.value
    except ValueError:
        return None
    return facts.RelayReport(at=at, able=in_flight is not None, ratio=ratio, in_flight=int(in_flight or 0))


def _gist(report: facts.RelayReport) -> tuple[object, ...]:
    """What a pass acts on."""
    return report.able, tuple(sorted(report.ratio.items())), report.in_flight == 0
