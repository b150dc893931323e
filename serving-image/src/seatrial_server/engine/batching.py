"""Micro-batching: everything that arrived in one turn of the event loop runs together, without any added delay.

Quick models run on the loop itself (a thread would cost a third of the throughput); slow ones in one worker thread, the
next batch building up meanwhile. A model that turns out to be slow on what clients really send moves to a thread then.
The queue is bounded in rows, and nobody waits longer than the deadline.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import logging
import time
from collections.abc import Sequence

import msgspec

from seatrial_server.engine import inference, jobs, refusals
from seatrial_server.host import budget, config, errors, logs
from seatrial_server.observe import telemetry

log = logging.getLogger(__name__)
MAX_ROWS = 32
_BLOCKING_SECONDS = 5e-3
"""A call on the loop that computes for longer keeps health and everybody else waiting."""
_WATCHED_CALLS = 100
_BLOCKING_CALLS = 3
"""So many of those that are watched; one may be a pause of the garbage collector."""
_SETTLED_ROWS = 64
"""Weight of what was known of a row's time against a new call."""


class Plan(msgspec.Struct, frozen=True):
    """How the model is run; chosen at warm-up by measurement."""

    in_thread: bool
    batched: bool
    row_seconds: float
    most_rows: int = MAX_ROWS


class Batcher:
    """The queue in front of one engine. All methods belong to the event loop."""

    def __init__(
        self,
        engine: inference.Engine,
        plan: Plan,
        *,
        limits: config.Limits,
        counters: telemetry.Telemetry,
        account: budget.Budget | None = None,
    ) -> None:
        self._engine, self._counters = engine, counters
        self._budget = account or budget.of_process(max_body_bytes=limits.max_body_bytes)
        self._timeout, self._max_queue_rows, self._row_seconds = (
            limits.timeout_seconds,
            limits.max_queue_rows,
            plan.row_seconds,
        )
        self._loop = asyncio.get_running_loop()
        self._queue: collections.deque[jobs.Job] = collections.deque()
        self._rows = 0
        self._scheduled = False
        self._running: Sequence[jobs.Job] = ()
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "model") if plan.in_thread else None
        self._max_rows = plan.most_rows if plan.batched else 1
        self._watched = self._blocked = 0
        self._watch: asyncio.TimerHandle | None = None

    @property
    def inline(self) -> bool:
        """Whether the model runs on the loop."""
        return self._thread is None

    def submit(self, job: jobs.Job) -> None:
        """Queue a job; raises when there is no room for it."""
        self._admit(job)
        if self._thread is None:
            if self._rows >= self._max_rows:
                self._run_queue()  # a full batch gains nothing by waiting for the end of the turn
                return
        else:
            timeout = job.deadline - job.started
            if self._watch is None or self._watch.when() > self._loop.time() + timeout:
                self._watch_from_now(timeout)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def run(self, job: jobs.Job) -> None:
        """Run a bundle now, behind all that waits. Raises as `submit` does, and `Mixed` unless the model is inline."""
        if self._queue:
            self._run_queue()
        if self._thread is not None:
            raise jobs.mixed()
        if job.rows > self._max_queue_rows:
            raise self._overload(job.rows)
        job.deadline = job.started + self._timeout
        started = time.perf_counter()
        if started > job.deadline:
            job.finish(refusals.too_late())
        else:
            self._execute([job], started)

    def _admit(self, job: jobs.Job) -> None:
        rows, queued, timeout = job.rows, self._rows, self._timeout
        if queued + rows > self._max_queue_rows:
            raise self._overload(rows)
        if job.timeout and job.timeout < timeout:
            timeout = job.timeout
        if queued * self._row_seconds > timeout:
            raise self._overload(rows)  # it would be dropped unanswered when its turn came
        self._charge(job)
        job.deadline = job.started + timeout
        self._queue.append(job)
        self._rows = self._counters.queue_rows = queued + rows

    def _charge(self, job: jobs.Job) -> None:
        """Many rows may wait, but not many large ones."""
        size = jobs.size(job.values)
        if size > budget.SMALL:
            if not self._budget.take(size):
                raise refusals.no_room()
            job.charged = size

    def _release(self, job: jobs.Job) -> None:
        if job.charged:
            self._budget.give(job.charged)
            job.charged = 0

    def _overload(self, rows: int) -> errors.RequestError:
        return refusals.overload(rows, bound=self._max_queue_rows, waiting=self._rows, row_seconds=self._row_seconds)

    def _turn(self) -> None:
        self._scheduled = False
        if self._thread is None:
            self._run_queue()
        elif not self._running:
            self._start()

    def _run_queue(self) -> None:
        while self._queue and self._thread is None:
            batch = self._take()
            if batch:
                self._execute(batch, time.perf_counter())
        if self._thread is not None and not self._running:
            self._start()

    def _execute(self, batch: Sequence[jobs.Job], started: float) -> None:
        computed = time.thread_time() if self._watched else 0.0
        results = self._engine.execute(batch)
        if self._watched or time.perf_counter() - started > _BLOCKING_SECONDS:
            self._suspect(computed)
        self._finish(batch, results, started)

    def _suspect(self, computed: float) -> None:
        """A call was slow, or one was lately. A neighbour may have done that: what counts is the CPU's own time."""
        if not self._watched:
            self._watched, self._blocked = _WATCHED_CALLS, 0
            return
        self._watched -= 1
        self._blocked += time.thread_time() - computed > _BLOCKING_SECONDS
        if self._blocked == _BLOCKING_CALLS:
            self._thread = concurrent.futures.ThreadPoolExecutor(1, "model")
            self._counters.plan["execution"] = "thread"
            logs.info(log, "calls of the model block the loop: it runs in a thread from now on")
            self._expire()

    def _start(self) -> None:
        batch = self._take()
        if not batch or self._thread is None:
            return
        self._running = batch
        started = time.perf_counter()
        future = self._loop.run_in_executor(self._thread, self._engine.execute, batch)
        future.add_done_callback(lambda done: self._ended(batch, done.result(), started))

    def _ended(self, batch: list[jobs.Job], results: list[inference.Result], started: float) -> None:
        self._running = ()
        self._start()  # the model goes on while this batch is encoded
        self._finish(batch, results, started)

    def _take(self) -> list[jobs.Job]:
        """The next jobs that fit one run; drops those whose deadline has passed."""
        queue, now = self._queue, time.perf_counter()
        batch: list[jobs.Job] = []
        rows = 0
        while queue:
            job = queue[0]
            if batch and (
                rows + job.rows > self._max_rows or not (job.shapes is batch[0].shapes or job.fits(batch[0]))
            ):
                break
            queue.popleft()
            self._rows -= job.rows
            if now > job.deadline:
                self._release(job)
                job.finish(refusals.too_late())
            else:
                batch.append(job)
                rows += job.rows
        self._counters.queue_rows = self._rows
        return batch

    def _finish(self, batch: Sequence[jobs.Job], results: list[inference.Result], started: float) -> None:
        now = time.perf_counter()
        self._counters.last_call = now
        self._counters.model_durations.observe(now - started)
        rows = sum([job.rows for job in batch])
        self._counters.batch_rows.observe(rows)
        self._row_seconds += ((now - started) / rows - self._row_seconds) * rows / (rows + _SETTLED_ROWS)
        for job, result in zip(batch, results, strict=True):
            if job.charged:
                self._release(job)
            if not job.finished:  # `Job.finish`, without a call for every request
                job.finished = True
                job.done(job, result if now <= job.deadline else refusals.too_slow())

    def _expire(self) -> None:
        """Answer in time even while the model does not return."""
        self._watch = None
        now = time.perf_counter()
        for job in self._running:
            if now >= job.deadline:
                job.finish(refusals.too_slow())
        late = [job for job in self._queue if now >= job.deadline]
        if late:
            self._queue = collections.deque(job for job in self._queue if now < job.deadline)
            self._rows -= sum(job.rows for job in late)
            self._counters.queue_rows = self._rows
            for job in late:
                self._release(job)
                job.finish(refusals.too_late())
        waiting = [job.deadline for job in (*self._running, *self._queue) if not job.finished]
        if waiting:
            self._watch_from_now(max(0.001, min(waiting) - now))

    def _watch_from_now(self, seconds: float) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = self._loop.call_later(seconds, self._expire)

    def close(self) -> None:
        """Let the worker thread go."""
        if self._thread is not None:
            self._thread.shutdown(wait=False)
