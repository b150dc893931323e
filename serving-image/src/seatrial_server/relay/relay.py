"""The relay of one pod: which share is asked for, who gets the next request, what has become of it.

It knows nothing of models or ports; the protocol's two sides ask `chooses` for each request that they could answer
themselves, and hand over those that it takes. Without an assignment that question is one look at an attribute.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import msgspec

from seatrial_server.host import budget, config
from seatrial_server.observe import relayed
from seatrial_server.relay import assignment, choice, headers, introduction, outcomes, rest, rpc, targets
from seatrial_server.relay.following import Following, Own
from seatrial_server.relay.outcomes import Failure

log = logging.getLogger(__name__)
Get = Callable[[bytes], bytes | None]
"""A request's headers by their lower-case names."""


class Request(msgspec.Struct, frozen=True):
    """A request over REST as it came; `seconds` are left for its answer, which a client gets unless it is `copied`."""

    method: bytes
    target: bytes
    headers: Mapping[bytes, bytes]
    body: bytes
    seconds: float
    copied: bool = False


class Relay:
    """See the module. Belongs to the event loop."""

    def __init__(
        self,
        own: Own,
        counts: relayed.Relayed,
        *,
        limits: config.Limits,
        account: budget.Budget,
        draw: Callable[[], float] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.assigned: assignment.Assignment | None = None
        """What is in force; None: every request is answered here."""
        self.following = Following(own, counts, now=now, changed=self._follow)
        self._own, self._counts = own, counts
        counts.in_flight = 0
        self._draw = draw or random.Random().random  # noqa: S311  # seeded by the system; a share, not a secret
        self._targets = targets.Targets()
        self._rest, self._rpc = (
            rest.Rest(account, max_body_bytes=limits.max_body_bytes),
            rpc.Rpc(max_body_bytes=limits.max_body_bytes),
        )
        self._timeout = limits.timeout_seconds
        self._ports = (0, 0)
        self._watching: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, file: Path, *, rest_port: int, rpc_port: int) -> None:
        """Follow the assignment in the file. All pods listen on the same ports, so these are the candidate's too."""
        self._ports = (rest_port, rpc_port)
        self._watching = self._spawn(self.following.watch(file))

    async def close(self) -> None:
        """End every connection; only when no request is on its way any more."""
        if self._watching is not None:
            self._watching.cancel()
        self.following.keep_all()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._rest.close()

    def _follow(self, found: assignment.Assignment | None) -> None:
        self.assigned = found
        self._targets.name(found.to if found is not None else ())
        self._name(found)

    def _name(self, found: assignment.Assignment | None) -> None:
        addresses = found.to if found is not None else ()
        rest_peers, rpc_peers = (
            [_peer(found, address, port) for address in addresses if found is not None] for port in self._ports
        )
        self._rest.name(rest_peers)
        self._spawn(self._rpc.name(rpc_peers))

    # The choice

    def chooses(self, get: Get) -> bool:
        """Whether the candidate answers this request. Never one that was relayed already."""
        assigned = self.assigned
        if assigned is None or not assigned.to or headers.believed(get(headers.RELAYED), assigned.token):
            return False
        if assigned.trust_client_choice:
            wish = choice.named(get(headers.REVISION), candidate=assigned.revision, own=self._own.revision)
            if wish is not None:
                return wish and self.following.held()
        value = get(assigned.sticky.encode()) if assigned.sticky is not None else None
        return self._drawn(assigned.weight, value or None)

    def draws(self) -> bool:
        """The choice for a request whose headers have not been read, when none of them decides: see `asks_headers`.

        Whether it was relayed already is to be asked of those that are chosen.
        """
        assigned = self.assigned
        return assigned is not None and bool(assigned.to) and self._drawn(assigned.weight, None)

    def copies(self) -> bool:
        """The choice whether the candidate gets a copy of a request that is answered here; see `may` too."""
        assigned = self.assigned
        return assigned is not None and bool(assigned.to and assigned.shadow) and self._drawn(assigned.shadow, None)

    def may(self, get: Get) -> bool:
        """Whether a request that was drawn, or its copy, may go: not if a pod of the deployment has relayed it."""
        return self.assigned is not None and not headers.believed(get(headers.RELAYED), self.assigned.token)

    def _drawn(self, weight: float, value: bytes | None) -> bool:
        return self.following.held() and choice.moves(weight, value=value, draw=self._draw)

    # Passing on

    def left(self, started: float, wished: float, *, now: float | None = None) -> float:
        """Seconds until the deadline of a request that came at `started`, with its client's own time-out or 0."""
        timeout = min(wished, self._timeout) if wished else self._timeout
        return max(started + timeout - (time.perf_counter() if now is None else now), 0.001)

    def pass_on(self, request: Request, done: Callable[[rest.Result], None]) -> None:
        """To the candidate in force; `done` is called once, now or later. A `shed` failure has not been tried."""
        assigned = self.assigned
        target = self._targets.take(now=time.monotonic())
        if assigned is None or target is None:
            done(outcomes.NOT_TRIED)
            return
        seconds = _patience(assigned, request.seconds)
        added = {
            headers.RELAYED: headers.mark(self._own.revision, assigned.token),
            headers.DEADLINE: headers.milliseconds(seconds),
        }
        if request.copied:
            added[headers.COPIED] = b"true"
        head = headers.request_head(
            request.method, request.target, request.headers, size=len(request.body), added=added
        )
        self._counts.in_flight = self._targets.in_flight

        def ended(result: rest.Result) -> None:
            self._give_back(target, result)
            done(result)

        peer = _peer(assigned, target.address, self._ports[0])
        self._rest.pass_on(peer, head, request.body, seconds=seconds, done=ended)

    async def pass_on_call(
        self, method: str, body: bytes, *, metadata: rpc.Metadata, seconds: float, copied: bool = False
    ) -> rpc.Answer | Failure:
        """As `pass_on`, over gRPC, whose deadline travels by itself."""
        assigned = self.assigned
        target = self._targets.take(now=time.monotonic())
        if assigned is None or target is None:
            return outcomes.NOT_TRIED
        self._counts.in_flight = self._targets.in_flight
        added: rpc.Metadata = ((headers.RELAYED.decode(), headers.mark(self._own.revision, assigned.token).decode()),)
        if copied:
            added += ((headers.COPIED.decode(), "true"),)
        result: rpc.Answer | Failure = Failure("unreachable", "defect")
        try:
            result = await self._rpc.pass_on(
                _peer(assigned, target.address, self._ports[1]),
                method,
                body,
                metadata=rpc.passed_on(metadata, added),
                seconds=_patience(assigned, seconds),
            )
        except Exception:  # the last line of defence: a defect of ours must not leave the client waiting
            log.exception("call could not be passed on")
        finally:
            self._give_back(target, result)
        return result

    def count(self, candidate: str, outcome: relayed.Outcome, *, covered: bool) -> None:
        """One request, once it is known who has answered it."""
        self._counts.count(candidate, outcome, covered=covered)

    def _give_back(self, target: targets.Target, result: rest.Result | rpc.Answer) -> None:
        self._targets.give_back(target, answered=not isinstance(result, Failure), now=time.monotonic())
        self._counts.in_flight = self._targets.in_flight

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _peer(assigned: assignment.Assignment, address: str, port: int) -> introduction.Peer:
    return introduction.Peer(address, port, assigned.revision.encode(), assigned.tls)


def _patience(assigned: assignment.Assignment, left: float) -> float:
    """How long the candidate has, when so many seconds are left for the request."""
    if not assigned.cover:
        return left
    return min(left, left / 2 if assigned.cover_after is None else assigned.cover_after)
