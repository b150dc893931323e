"""Runs the queue: a few workers, one look per key at a time, one of them only for rollouts in flight.

Nothing a reconcile raises ends a worker: it is logged, counted, and tried again with backoff. A look that takes too
long is cancelled, so that no object can hold a worker for ever. Before every look the lease is asked.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from seatrial.cluster import errors
from seatrial.control import queue as queue_

_LOG = logging.getLogger(__name__)


class Counted(Protocol):
    """Where it is told how looks went."""

    def reconciled(self, *, seconds: float) -> None: ...

    def reconcile_failed(self, error: str) -> None: ...


Reconcile = Callable[[queue_.Key], Awaitable[queue_.Result]]


class Workers:
    """Takes due keys and looks at them.

    Args:
        count: at least 2. A look spends most of its time waiting for the API server.
        may_act: false once leadership is lost; then run() raises LeadershipLost.
        look_timeout: seconds that one look may take.
    """

    def __init__(
        self,
        queue: queue_.Queue,
        reconcile: Reconcile,
        *,
        telemetry: Counted,
        count: int = 8,
        may_act: Callable[[], bool] = lambda: True,
        look_timeout: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._reconcile = reconcile
        self._telemetry = telemetry
        self._count = max(2, count)
        self._may_act = may_act
        self._look_timeout = look_timeout
        self._monotonic = monotonic
        self._bell = asyncio.Event()
        self._stopping = False
        self.progress_at = monotonic()
        queue.changed = self._bell.set

    async def run(self) -> None:
        """Works until stop(), then returns when the looks under way are finished.

        Raises:
            LeadershipLost: this replica may not act any more.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                for number in range(self._count):
                    tasks.create_task(self._work(self._up_to(number)), name=f"worker-{number}")
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    def _up_to(self, number: int) -> queue_.Lane:
        """One worker is kept for rollouts, a quarter of them for these and what somebody has just changed."""
        if number == 0:
            return queue_.Lane.ROLLOUT
        return queue_.Lane.CHANGED if number <= self._count // 4 else queue_.Lane.OTHER

    def stop(self) -> None:
        """No further look is begun."""
        self._stopping = True
        self._bell.set()

    def stuck(self, seconds: float) -> bool:
        """Whether work has been due for so long while none was finished."""
        now = self._monotonic()
        due = self._queue.next_due()
        waiting = self._queue.running() > 0 or (due is not None and due < now - seconds)
        return waiting and self.progress_at < now - seconds

    async def _work(self, up_to: queue_.Lane) -> None:
        while not self._stopping:
            self._bell.clear()
            key = self._queue.take(up_to=up_to)
            if key is None:
                await self._wait(up_to)
            else:
                await self._look(key)

    async def _wait(self, up_to: queue_.Lane) -> None:
        due = self._queue.next_due(up_to=up_to)
        try:
            async with asyncio.timeout(None if due is None else max(0.0, due - self._monotonic())):
                await self._bell.wait()
        except TimeoutError:
            return

    async def _look(self, key: queue_.Key) -> None:
        if not self._may_act():
            raise errors.LeadershipLost("the lease was not renewed in time")
        began = self._monotonic()
        try:
            async with asyncio.timeout(self._look_timeout):
                result = await self._reconcile(key)
        except errors.LeadershipLost:
            raise
        except Exception as error:  # whatever one object provokes, the others go on
            self._failed(key, error)
        else:
            self._queue.done(key, result)
        self.progress_at = self._monotonic()
        self._telemetry.reconciled(seconds=self.progress_at - began)

    def _failed(self, key: queue_.Key, error: Exception) -> None:
        while isinstance(error, ExceptionGroup):  # of reads side by side; the first tells enough
            error = error.exceptions[0]
        retry_after = error.retry_after if isinstance(error, errors.Unavailable) else None
        delay = self._queue.failed(key, at_least=retry_after or 0.0)
        self._telemetry.reconcile_failed(type(error).__name__)
        # What the cluster says needs no traceback; anything else is a fault of ours and does.
        expected = isinstance(error, errors.ClusterError | TimeoutError)
        _LOG.log(
            logging.WARNING if expected else logging.ERROR,
            "reconcile failed",
            extra={"key": str(key), "error": str(error) or type(error).__name__, "retry_in": round(delay, 2)},
            exc_info=None if expected else error,
        )
