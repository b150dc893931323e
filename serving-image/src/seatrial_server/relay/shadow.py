"""Copies of requests that have been answered here, for a candidate that nobody is served by yet.

A copy leaves when its client has its answer. Copies wait in a short queue; what does not fit is dropped and counted, so
that a slow candidate costs this pod nothing but that. How a copy travels is the protocol's matter.
"""

from __future__ import annotations

import collections
from collections.abc import Callable

import msgspec

from seatrial_server.host import budget
from seatrial_server.model import schema, session
from seatrial_server.observe import relayed
from seatrial_server.relay import comparison
from seatrial_server.relay.relay import Relay

_MAX_WAITING = 64
_MAX_IN_FLIGHT = 8


class Returned(msgspec.Struct, frozen=True):
    """What became of a copy; `outputs` are those that the client got as well, None without a good answer with them."""

    outcome: relayed.Outcome
    outputs: list[session.Array] | None = None


Done = Callable[[Returned], None]
_DROPPED = Returned("shed")


class Copy(msgspec.Struct, frozen=True):
    """`given` are the outputs of the answer; `wanted` are those that the client asked for, by place, in order.

    `size` are its bytes and those of the request, which `send` sends; it calls back once.
    """

    candidate: str
    given: list[session.Array]
    wanted: tuple[int, ...]
    rows: int
    size: int
    send: Callable[[Done], None]


class Shadow:
    """For one model. Belongs to the event loop."""

    def __init__(
        self,
        relay: Relay,
        counts: relayed.Relayed,
        account: budget.Budget,
        *,
        card: schema.Card,
        model: schema.Schema,
    ) -> None:
        self._relay, self._counts, self._account = relay, counts, account
        self.model = model
        self._comparison = comparison.Comparison(card, model)
        self._waiting: collections.deque[Copy] = collections.deque()
        self._in_flight = 0

    def offer(self, copy: Copy) -> None:
        """Send the copy, now or when others have come back."""
        if len(self._waiting) >= _MAX_WAITING or not self._account.take(copy.size):
            self._count(copy, _DROPPED)
            return
        self._waiting.append(copy)
        self._next()

    def _next(self) -> None:
        while self._waiting and self._in_flight < _MAX_IN_FLIGHT:
            self._send(self._waiting.popleft())

    def _send(self, copy: Copy) -> None:
        self._in_flight += 1

        def done(result: Returned) -> None:
            self._in_flight -= 1
            self._account.give(copy.size)
            self._count(copy, result)
            self._next()

        assigned = self._relay.assigned
        if assigned is None or assigned.revision != copy.candidate:
            done(_DROPPED)  # the candidate is another one now
        else:
            copy.send(done)

    def _count(self, copy: Copy, result: Returned) -> None:
        self._counts.copied(copy.candidate, result.outcome)
        found = None
        if result.outputs is not None:
            found = self._comparison.compare(copy.given, result.outputs, wanted=copy.wanted)
        if found is None:
            self._counts.compared(copy.candidate, "dropped" if result.outcome == "shed" else "failed", copy.rows)
            return
        self._counts.compared(copy.candidate, "same", found.same)
        self._counts.compared(copy.candidate, "different", found.different)
        for difference in found.differences:
            self._counts.differed(copy.candidate, difference)
