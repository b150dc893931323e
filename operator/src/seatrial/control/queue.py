"""Which object is reconciled when: one entry per key, coalesced, each with the earliest moment asked for.

`Queue` is plain data with a clock handed in: no tasks, no waiting, so that every property is tested without time
passing. `seatrial.control.workers` runs it. Level-triggered: a key says "look at this object", never why.

Three lanes: keys with a rollout in flight are always taken first, then those that somebody has just changed, so that a
flood of new objects delays neither a rollback nor a user. Failures back off exponentially with jitter per key; a
success resets that.
"""

from __future__ import annotations

import enum
import heapq
import random
from collections.abc import Callable

import msgspec

BACKOFF_FIRST = 0.25
BACKOFF_LONGEST = 60.0
BACKOFF_LONGEST_URGENT = 5.0  # a rollback has one interval + 5 s


class Key(msgspec.Struct, frozen=True, order=True):
    """Identity of one ModelDeployment."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Lane(enum.IntEnum):
    """Which keys are taken first."""

    ROLLOUT = 0
    CHANGED = 1
    OTHER = 2


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a reconcile wants next.

    Attributes:
        look_again_in: seconds until the next look even if nothing happens; None leaves it to events and the resync.
        in_flight: a rollout is going on (a candidate has pods or traffic): the key belongs to the first lane.
    """

    look_again_in: float | None = None
    in_flight: bool = False


class Queue:
    """Keys waiting, keys being worked on, and when each is due.

    Args:
        now: monotonic seconds.
        rng: spreads retries.
    """

    def __init__(self, *, now: Callable[[], float], rng: random.Random) -> None:
        self._now = now
        self._rng = rng
        self._due: dict[Key, float] = {}
        self._heaps: dict[Lane, list[tuple[float, int, Key]]] = {lane: [] for lane in Lane}
        self._lanes: dict[Key, Lane] = {}  # those that aren't in the last one
        self._running: dict[Key, tuple[float, Lane] | None] = {}  # what was asked for meanwhile
        self._failures: dict[Key, int] = {}
        self._count = 0  # keeps equal deadlines in order of arrival
        self.changed: Callable[[], None] = lambda: None  # the runner's bell

    def __len__(self) -> int:
        return len(self._due)

    def running(self) -> int:
        return len(self._running)

    def add(self, key: Key, *, after: float = 0.0, lane: Lane = Lane.OTHER) -> None:
        """Asks for a look `after` seconds from now. Of several requests the earliest and the first lane win.

        While the key is being worked on the request is kept: it is looked at once more afterwards, since the running
        look may have read what was there before.
        """
        if lane < self._lane(key):
            self._move(key, lane)
        at = self._now() + after
        if key in self._running:
            asked = self._running[key] or (at, lane)
            self._running[key] = min(asked[0], at), min(asked[1], lane)
            return
        self._schedule(key, at)

    def take(self, *, up_to: Lane = Lane.OTHER) -> Key | None:
        """The next key that is due, first lanes first; None when none is. It is running until done() or failed()."""
        for lane in Lane:
            heap = self._heaps[lane]
            self._clean(lane)
            if lane <= up_to and heap and heap[0][0] <= self._now():
                key = heapq.heappop(heap)[2]
                del self._due[key]
                self._running[key] = None
                return key
        return None

    def next_due(self, *, up_to: Lane = Lane.OTHER) -> float | None:
        """When take() will have something, in the clock's seconds; None when nothing waits."""
        heads = []
        for lane in Lane:
            self._clean(lane)
            if lane <= up_to and self._heaps[lane]:
                heads.append(self._heaps[lane][0][0])
        return min(heads, default=None)

    def done(self, key: Key, result: Result) -> None:
        """The look succeeded: backoff is forgotten, the lane is as the result says."""
        self._failures.pop(key, None)
        asked = self._running.pop(key)
        changed = asked is not None and asked[1] is Lane.CHANGED
        self._move(key, Lane.ROLLOUT if result.in_flight else Lane.CHANGED if changed else Lane.OTHER)
        again = None if result.look_again_in is None else self._now() + result.look_again_in
        wishes = [at for at in (asked and asked[0], again) if at is not None]
        if wishes:
            self._schedule(key, min(wishes))

    def failed(self, key: Key, *, at_least: float = 0.0) -> float:
        """The look failed: seconds until the next one, growing with each failure in a row, at least `at_least`."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        longest = BACKOFF_LONGEST_URGENT if self._lane(key) is Lane.ROLLOUT else BACKOFF_LONGEST
        delay: float = min(longest, BACKOFF_FIRST * 2 ** min(failures - 1, 16)) * self._rng.uniform(0.5, 1.0)
        delay = max(delay, at_least)
        # What was asked for meanwhile doesn't shorten the wait: the retry reads everything anew anyway.
        del self._running[key]
        self._schedule(key, self._now() + delay)
        return delay

    def _lane(self, key: Key) -> Lane:
        return self._lanes.get(key, Lane.OTHER)

    def _move(self, key: Key, lane: Lane) -> None:
        if lane is self._lane(key):
            return
        if lane is Lane.OTHER:
            del self._lanes[key]
        else:
            self._lanes[key] = lane
        if key in self._due:
            self._push(key, self._due[key])

    def _schedule(self, key: Key, at: float) -> None:
        if key in self._due and self._due[key] <= at:
            return
        self._push(key, at)

    def _push(self, key: Key, at: float) -> None:
        self._due[key] = at
        self._count += 1
        heapq.heappush(self._heaps[self._lane(key)], (at, self._count, key))
        self.changed()

    def _clean(self, lane: Lane) -> None:
        """Drops entries that an earlier deadline or another lane has superseded."""
        heap = self._heaps[lane]
        while heap and (self._due.get(heap[0][2]) != heap[0][0] or self._lane(heap[0][2]) is not lane):
            heapq.heappop(heap)
