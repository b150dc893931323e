"""Workers over the queue: concurrency, failures, stopping, leadership. Waits are on events, never on time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from seatrial.cluster import errors
from seatrial.control import telemetry, workers
from seatrial.control.queue import Key, Lane, Queue, Result

A, B = Key("shop", "a"), Key("shop", "b")


class Bench:
    """Workers around a reconcile that the test writes."""

    def __init__(self) -> None:
        self.queue = Queue(now=time.monotonic, rng=random.Random(1))
        self.telemetry = telemetry.Telemetry()
        self.leading = True
        self.workers: workers.Workers

    @contextlib.asynccontextmanager
    async def running(
        self, reconcile: Callable[[Key], Awaitable[Result]], *, look_timeout: float = 60
    ) -> AsyncIterator[asyncio.Task[None]]:
        self.workers = workers.Workers(
            self.queue,
            reconcile,
            telemetry=self.telemetry,
            count=5,
            may_act=lambda: self.leading,
            look_timeout=look_timeout,
        )
        task = asyncio.create_task(self.workers.run())
        yield task
        self.workers.stop()
        await asyncio.gather(task, return_exceptions=True)

    def metric(self, name: str, **labels: str) -> float:
        return self.telemetry.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_different_keys_are_looked_at_side_by_side_and_one_key_never_twice_at_once(bench: Bench) -> None:
    active: dict[Key, int] = {}
    both, again = asyncio.Event(), asyncio.Event()
    looks = 0

    async def reconcile(key: Key) -> Result:
        nonlocal looks
        active[key] = active.get(key, 0) + 1
        assert active[key] == 1
        if len([count for count in active.values() if count]) == 2:
            both.set()
        await both.wait()
        if key == A:
            looks += 1
            if looks == 1:
                bench.queue.add(A)
            else:
                again.set()
        active[key] -= 1
        return Result()

    async with bench.running(reconcile), asyncio.timeout(60):
        bench.queue.add(A)
        bench.queue.add(B)
        await again.wait()
    assert looks == 2


@pytest.mark.parametrize("lane", [Lane.ROLLOUT, Lane.CHANGED], ids=["rollout", "changed"])
async def test_a_rollout_and_a_change_get_through_when_all_other_workers_hang(bench: Bench, lane: Lane) -> None:
    hanging, urgent = asyncio.Event(), asyncio.Event()

    async def reconcile(key: Key) -> Result:
        if key.namespace == "flood":
            await hanging.wait()
        else:
            urgent.set()
        return Result()

    async with bench.running(reconcile), asyncio.timeout(60):
        for number in range(10):
            bench.queue.add(Key("flood", str(number)))
        await asyncio.sleep(0)
        bench.queue.add(A, lane=lane)
        await urgent.wait()
        hanging.set()


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (errors.Conflict("changed"), logging.WARNING),
        (errors.Unavailable("busy"), logging.WARNING),
        (ExceptionGroup("side by side", [errors.Unavailable("busy")]), logging.WARNING),
        (ZeroDivisionError("a fault of ours"), logging.ERROR),
    ],
    ids=["conflict", "unavailable", "group", "fault"],
)
async def test_a_failed_look_is_logged_counted_and_repeated(
    bench: Bench, error: Exception, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    succeeded = asyncio.Event()
    looks = 0

    async def reconcile(key: Key) -> Result:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise error
        succeeded.set()
        return Result()

    async with bench.running(reconcile), asyncio.timeout(60):
        bench.queue.add(A)
        await succeeded.wait()
    kind = type(error.exceptions[0] if isinstance(error, ExceptionGroup) else error).__name__
    assert bench.metric("seatrial_reconcile_errors_total", error=kind) == 1
    [record] = [one for one in caplog.records if one.message == "reconcile failed"]
    assert record.levelno == level
    assert (record.exc_info is not None) == (level == logging.ERROR)


async def test_a_look_that_hangs_is_cancelled_and_repeated(bench: Bench) -> None:
    repeated = asyncio.Event()
    looks = 0

    async def reconcile(key: Key) -> Result:
        nonlocal looks
        looks += 1
        if looks == 1:
            await asyncio.Event().wait()
        repeated.set()
        return Result()

    async with bench.running(reconcile, look_timeout=0.01), asyncio.timeout(60):
        bench.queue.add(A)
        await repeated.wait()
    assert bench.metric("seatrial_reconcile_errors_total", error="TimeoutError") == 1


async def test_stopping_finishes_the_running_look_and_begins_no_other(bench: Bench) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    finished: list[Key] = []

    async def reconcile(key: Key) -> Result:
        began.set()
        await go_on.wait()
        finished.append(key)
        bench.queue.add(B)
        return Result()

    async with bench.running(reconcile) as task, asyncio.timeout(60):
        bench.queue.add(A)
        await began.wait()
        bench.workers.stop()
        go_on.set()
        await task
    assert finished == [A]


async def test_without_the_lease_nothing_is_looked_at(bench: Bench) -> None:
    async def reconcile(key: Key) -> Result:
        raise AssertionError("must not act")

    bench.leading = False
    async with bench.running(reconcile) as task, asyncio.timeout(60):
        bench.queue.add(A)
        with pytest.raises(errors.LeadershipLost):
            await task


async def test_workers_are_stuck_only_when_work_waits_and_none_gets_done() -> None:
    now = 0.0
    queue = Queue(now=lambda: now, rng=random.Random(1))

    async def reconcile(key: Key) -> Result:
        return Result()

    crew = workers.Workers(queue, reconcile, telemetry=telemetry.Telemetry(), monotonic=lambda: now)
    now = 1000.0
    assert not crew.stuck(300), "nothing to do"
    queue.add(A)
    assert not crew.stuck(300), "due only now"
    now = 1301.0
    assert crew.stuck(300)
