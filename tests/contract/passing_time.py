"""Time that passes when a test says so, for several tasks whose calls are real: they sleep in it, they read it.

How long a call takes, and what else the machine does, moves this clock by nothing.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

_SECONDS = 60
"""Real ones, in which every task has come to its next sleep."""


class Time:
    """Give a task `now` for its clock and `sleep` for asyncio's."""

    def __init__(self) -> None:
        self._now = 0.0
        self._asleep: dict[int, tuple[float, asyncio.Event]] = {}
        self._numbers = itertools.count()
        self._news = asyncio.Event()

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        number, woken = next(self._numbers), asyncio.Event()
        self._asleep[number] = self._now + seconds, woken
        self._news.set()
        try:
            await woken.wait()
        finally:
            self._asleep.pop(number, None)

    async def pass_by(self, seconds: float, *tasks: asyncio.Task[Any]) -> None:
        """Lets so much time pass for these tasks, each of which does what it has to in between; sooner if one ends."""
        end = self._now + seconds
        for task in tasks:
            task.add_done_callback(lambda _: self._news.set())
        while True:
            await self._all_asleep(tasks)
            if any(task.done() for task in tasks):
                return
            number = min(self._asleep, key=lambda one: self._asleep[one][0])
            at, woken = self._asleep[number]
            if at > end:
                break
            self._now = at
            del self._asleep[number]
            woken.set()
        self._now = end

    async def _all_asleep(self, tasks: tuple[asyncio.Task[Any], ...]) -> None:
        async with asyncio.timeout(_SECONDS):
            while len(self._asleep) < sum(not task.done() for task in tasks):
                self._news.clear()
                await self._news.wait()
