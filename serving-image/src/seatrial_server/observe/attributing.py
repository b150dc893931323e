"""Sampled rows and their most influential feature, counted in a thread of its own and bounded in what it may cost.

A row is taken now and then off the model's calls. What was spent, and what the next row is expected to cost, must lie
within a hundredth of what the model itself has taken since this was switched on; else the row is let go.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec

from seatrial_server.host import logs
from seatrial_server.model import session
from seatrial_server.observe import influence, text

log = logging.getLogger(__name__)

SHARE = 0.01
"""Of the model's time."""
_PATIENCE = 3
"""Rows in a row on which the model fails, until none is asked any more."""
_LOW = 10
"""Niceness of the thread: a request that waits comes first."""
Row = list[session.Array]
Repair = Callable[[Row], Row | None]


class Settings(msgspec.Struct, frozen=True, rename="camel"):
    """Live ones."""

    rows_per_second: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0


class Attributing:
    """The counters of one process. `offer` may be called in the model's thread, all else on the loop.

    Args:
        repair: the row as the model may see it; None where it may not.
        model_seconds: what the model has taken up to now.
        row_seconds: what a row is known to take.
        threads: those of a run. The time of one is its own CPU time; several are held to the clock on the wall.
        executor: runs what is asked, one row at a time.
    """

    def __init__(
        self,
        asked: influence.Influence,
        *,
        repair: Repair,
        model_seconds: Callable[[], float],
        row_seconds: float,
        threads: int,
        executor: concurrent.futures.Executor,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._asked, self._repair, self._model_seconds, self._clock = asked, repair, model_seconds, clock
        self._executor = executor
        self._taken = time.thread_time if threads == 1 else time.perf_counter
        self.counts = [0] * len(asked.labels)
        self.spent = 0.0
        self._next_costs = row_seconds * asked.rows
        self._rate, self._due, self._since = 0.0, 0.0, 0.0
        self._failures = 0
        self._busy = self._shown = False
        self._random = random.Random(os.getpid())  # noqa: S311  # which rows are sampled is no secret

    def follow(self, settings: Settings) -> None:
        """What holds from now on."""
        if settings.rows_per_second and not self._rate:
            self._since = self._model_seconds() - self.spent / SHARE
        self._rate = settings.rows_per_second
        self._shown = self._shown or self._rate > 0

    def offer(self, inputs: Sequence[session.Array]) -> None:
        """Rows of a model call, of which one may be taken."""
        if not self._rate or self._busy or (now := self._clock()) < self._due:
            return
        self._due = now + self._random.uniform(0.5, 1.5) / self._rate  # no rhythm that a client may have too
        if self.spent + self._next_costs <= SHARE * (self._model_seconds() - self._since):
            self._busy = True
            row = self._random.randrange(len(inputs[0]))
            self._executor.submit(self._work, [array[row : row + 1].copy() for array in inputs])

    def close(self) -> None:
        """Let the thread go."""
        self._rate = 0.0
        self._executor.shutdown(wait=False, cancel_futures=True)

    def exposition(self, pairs: str) -> str:
        """The series in Prometheus' text format, with these labels; nothing before it was switched on.

        Switched off they stay as they are: totals that vanish and come back would be counted twice.
        """
        if not self._shown:
            return ""
        name = "seatrial_attribution_rows_total"
        lines = [text.family(name, "counter", "Sampled rows by their most influential feature.")]
        lines += [
            f'{name}{{{pairs},feature="{text.escaped(label)}"}} {count}\n'
            for label, count in zip(self._asked.labels, self.counts, strict=True)
        ]
        name = "seatrial_attribution_seconds_total"
        lines.append(text.family(name, "counter", "Time taken to find the most influential features."))
        return "".join([*lines, f"{name}{{{pairs}}} {self.spent:.6f}\n"])

    def _work(self, row: Row) -> None:
        began = self._taken()
        self._count(row)
        cost = self._taken() - began
        self.spent += cost
        self._next_costs = max(cost, 0.9 * self._next_costs)
        self._busy = False

    def _count(self, row: Row) -> None:
        try:
            seen = self._repair(row)
            place = self._asked.of(seen) if seen is not None else None
        except Exception as error:  # whatever the model raises: it must not end the thread, and is no client's matter
            self._failures += 1
            if self._failures == _PATIENCE:
                self._rate = 0.0
                logs.warning(log, "attributions end: the model fails on replaced values", cause=str(error)[:300])
            return
        self._failures = 0
        if place is not None:
            self.counts[place] += 1


def thread() -> concurrent.futures.Executor:
    """One that gives way to requests; it begins with the first row."""

    def give_way() -> None:
        if sys.platform == "linux":  # elsewhere threads have no priority of their own
            with contextlib.suppress(OSError):  # a help, which not every sandbox gives
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOW)

    return concurrent.futures.ThreadPoolExecutor(1, "attributions", initializer=give_way)
