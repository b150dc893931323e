"""Copies of requests that have been answered here, for a candidate that nobody is served by yet.

A copy leaves when its client has its answer. Copies wait in a short queue; what does not fit is dropped and counted, so
that a slow candidate costs this pod nothing but that.
"""

from __future__ import annotations

import collections
from collections.abc import Callable

import msgspec

from seatrial_server.host import budget
from seatrial_server.observe import relayed
from seatrial_server.relay import comparison, rest, wire
from seatrial_server.relay.outcomes import Failure
from seatrial_server.relay.relay import Relay, Request

_MAX_WAITING = 64
_MAX_IN_FLIGHT = 8


class Copy(msgspec.Struct, frozen=True):
    """`compare` reads the candidate's answer; None when there is nothing in it to compare."""

    candidate: str
    request: Request
    rows: int
    compare: Callable[[wire.Answer], comparison.Compared | None]


class Shadow:
    """Belongs to the event loop."""

    def __init__(self, relay: Relay, counts: relayed.Relayed, account: budget.Budget) -> None:
        self._relay, self._counts, self._account = relay, counts, account
        self._waiting: collections.deque[Copy] = collections.deque()
        self._in_flight = 0

    def offer(self, copy: Copy) -> None:
        """Send the copy, now or when others have come back."""
        if len(self._waiting) >= _MAX_WAITING or not self._account.take(len(copy.request.body)):
            self._counts.compared(copy.candidate, "dropped", copy.rows)
            return
        self._waiting.append(copy)
        self._next()

    def _next(self) -> None:
        while self._waiting and self._in_flight < _MAX_IN_FLIGHT:
            self._send(self._waiting.popleft())

    def _send(self, copy: Copy) -> None:
        self._in_flight += 1

        def done(result: rest.Result) -> None:
            self._in_flight -= 1
            self._account.give(len(copy.request.body))
            self._count(copy, result)
            self._next()

        assigned = self._relay.assigned
        if assigned is None or assigned.revision != copy.candidate:
            done(Failure("shed", "the candidate is another one now"))
        else:
            self._relay.pass_on(copy.request, done)

    def _count(self, copy: Copy, result: rest.Result) -> None:
        if isinstance(result, Failure):
            self._counts.compared(copy.candidate, "dropped" if result.outcome == "shed" else "failed", copy.rows)
            return
        found = copy.compare(result) if 200 <= result.status < 300 else None
        if found is None:
            self._counts.compared(copy.candidate, "failed", copy.rows)
            return
        self._counts.compared(copy.candidate, "same", found.same)
        self._counts.compared(copy.candidate, "different", found.different)
        for difference in found.differences:
            self._counts.differed(copy.candidate, difference)
