"""Requests over REST to a candidate's pods, over kept connections: see `wire` for one, `introduction` for new ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from seatrial_server.host import budget
from seatrial_server.relay import headers, introduction, wire
from seatrial_server.relay.introduction import Peer
from seatrial_server.relay.outcomes import Failure

Result = wire.Answer | Failure


class Rest:
    """The connections to all candidates' pods. Belongs to the event loop."""

    def __init__(self, account: budget.Budget, *, max_body_bytes: int) -> None:
        self._account, self._max_body_bytes = account, max_body_bytes
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Peer, list[wire.Wire]] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._peers: frozenset[Peer] = frozenset()

    def name(self, peers: Collection[Peer]) -> None:
        """Keep connections to these and no others."""
        self._peers = frozenset(peers)
        for peer in self._idle.keys() - self._peers:
            for idle in self._idle.pop(peer):
                idle.abort()

    def pass_on(self, peer: Peer, head: bytes, body: bytes, *, seconds: float, done: Callable[[Result], None]) -> None:
        """`done` gets the answer, now or within so many seconds."""
        passage = Passage(self, peer, head, body, done)
        passage.begin(self._loop.call_later(seconds, passage.late))

    # For passages

    def take(self, peer: Peer) -> wire.Wire | None:
        """A kept connection."""
        idle = self._idle.get(peer)
        return idle.pop() if idle else None

    def keep(self, peer: Peer, used: wire.Wire) -> None:
        """The connection is free again."""
        if not used.open:
            return
        if peer in self._peers:
            self._idle.setdefault(peer, []).append(used)
        else:
            used.abort()

    def connect(self, peer: Peer, then: Callable[[wire.Wire | Failure], None]) -> asyncio.Task[None]:
        """A new connection, once it has introduced itself."""

        async def run() -> None:
            then(await introduction.connected(peer, self._wire(peer)))

        task = self._loop.create_task(run())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return task

    def _wire(self, peer: Peer) -> Callable[[], wire.Wire]:
        def lost(one: wire.Wire) -> None:
            idle = self._idle.get(peer)
            if idle and one in idle:
                idle.remove(one)

        return lambda: wire.Wire(self._account, max_body_bytes=self._max_body_bytes, lost=lost)

    def close(self) -> None:
        """End everything."""
        self.name(())
        for task in self._opening:
            task.cancel()


class Passage:
    """One request on its way."""

    def __init__(self, rest: Rest, peer: Peer, head: bytes, body: bytes, done: Callable[[Result], None]) -> None:
        self._rest, self._peer, self._head, self._body, self._done = rest, peer, head, body, done
        self._wire: wire.Wire | None = None
        self._opening: asyncio.Task[None] | None = None
        self._reused = self._over = False

    def begin(self, timer: asyncio.TimerHandle) -> None:
        """`timer` calls `late`."""
        self._timer = timer
        kept = self._rest.take(self._peer)
        if kept is None:
            self._connect()
            return
        self._reused = True
        self._send(kept)

    def late(self) -> None:
        """Time is up."""
        if self._wire is not None:
            self._wire.abort()
        if self._opening is not None:
            self._opening.cancel()
        self._finish(Failure("late", f"{self._peer.address}: no answer in time"))

    def _connect(self) -> None:
        self._reused = False
        self._opening = self._rest.connect(self._peer, self._connected)

    def _connected(self, result: wire.Wire | Failure) -> None:
        self._opening = None
        if isinstance(result, Failure):
            self._finish(result)
        else:
            self._send(result)

    def _send(self, one: wire.Wire) -> None:
        self._wire = one
        one.send(self._head, self._body, self._answered)

    def _answered(self, result: wire.Result) -> None:
        one, self._wire = self._wire, None
        if isinstance(result, wire.Lost):
            if self._reused and result.untouched:
                self._connect()  # it had ended before the request came there: HTTP/1.1 lets any server do that
            elif result.garbage:
                self._finish(Failure("error", f"{self._peer.address}: what came is no answer"))
            else:
                self._finish(self._peer.ended())
            return
        if one is not None:
            self._rest.keep(self._peer, one)
        if result.headers.get(headers.REVISION) != self._peer.revision:
            self._finish(self._peer.stranger())
        else:
            self._finish(result)

    def _finish(self, result: Result) -> None:
        if not self._over:
            self._over = True
            self._timer.cancel()
            self._done(result)
