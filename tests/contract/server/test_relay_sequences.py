"""What must never happen to a client, whatever happens between two pods: random sequences with a real pair of servers.

`SEATRIAL_SEQUENCES=2000` runs more of them.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, get_args

import hypothesis
import pytest
import uvloop
from hypothesis import strategies
from tests.contract.server.between import Between, Mode
from tests.contract.server.pair import CANDIDATE, STABLE, Client, Clock, Pod, assignment, body, free_ports, post, until

BEHIND = "127.0.0.3"
COVER_AFTER, SLOW = 0.05, 0.01
CLIENTS = 3

_client = strategies.integers(0, CLIENTS - 1)
_sends = strategies.tuples(strategies.just("send"), _client, strategies.integers(1, 8))
_assigns = strategies.tuples(
    strategies.just("assign"),
    strategies.sampled_from([100, 50, 30, 0]),
    strategies.sampled_from([0, 50]),
    strategies.sampled_from([True, True, False]),
    strategies.booleans(),
)
_modes = strategies.tuples(strategies.just("mode"), strategies.sampled_from(get_args(Mode)))
_events = strategies.one_of(
    _modes,
    _modes,
    _assigns,
    _assigns,
    strategies.tuples(strategies.just("die")),
    strategies.tuples(strategies.just("live")),
    strategies.tuples(strategies.just("mistake"), _client),
    strategies.tuples(strategies.just("disconnect"), _client),
    strategies.tuples(strategies.just("settle"), _client),
    strategies.tuples(strategies.just("odd"), strategies.sampled_from([b"", b"{", b"x" * 20000, b"[]"])),
    strategies.tuples(strategies.just("expire")),
    strategies.tuples(strategies.just("wait"), strategies.sampled_from([0.0, 0.002, 0.07])),
)
STEPS = strategies.tuples(_assigns, strategies.lists(strategies.tuples(_events, _sends), min_size=4, max_size=14)).map(
    lambda drawn: [drawn[0], *(step for pair in drawn[1] for step in pair)]
)
"""An assignment at first, then something happens before each bunch of requests."""


class Scene:
    """The world of one sequence. `asked` are the requests of each connection that have no answer yet."""

    def __init__(self) -> None:
        self.clock, self.ports = Clock(), free_ports()
        self.stable = Pod("stable", clock=self.clock, timeout_seconds=5)
        self.candidate = Pod("candidate", timeout_seconds=5)
        self.between = Between(slow=SLOW)
        self.clients: dict[int, Client] = {}
        self.asked: dict[int, list[dict[str, Any]]] = {}
        self.number = self.sent = self.lost = 0
        self.weight, self.cover = 0.0, True

    async def open(self) -> None:
        await self.candidate.open(BEHIND, self.ports, rpc=False)
        await self.stable.open(STABLE, self.ports, rpc=False)
        await self.between.open(CANDIDATE, self.ports[0], behind=BEHIND)

    async def play(self, steps: list[tuple[Any, ...]], *, drain: bool) -> None:
        for name, *arguments in steps:
            await getattr(self, f"_{name}")(*arguments)
        ending = asyncio.create_task(self.stable.close(rpc=False)) if drain else None
        for place in list(self.clients):
            await self._settle(place)
            self.clients.pop(place).close()
        await until(lambda: self.stable.counters.in_flight == 0 and self.stable.counters.relayed.in_flight == 0)
        self.check()
        await (ending or self.stable.close(rpc=False))
        await self.between.close()
        await self.candidate.close(rpc=False)

    def check(self) -> None:
        assert self.sent - self.lost <= self._seen() <= self.sent, "a request was counted twice, or not at all"
        for outcome, covered in self.stable.relayed():
            hypothesis.event(f"{outcome}, covered: {covered}")  # see --hypothesis-show-statistics
        assert self.stable.account.used == 0
        for headers, document in self.between.requests:
            assert headers["x-client"] == document["id"], "a header of one client in another's request"
            assert headers["seatrial-relayed"].startswith("stable ")
            assert int(headers["seatrial-deadline-ms"]) <= 5000

    # Steps

    async def _send(self, place: int, count: int) -> None:
        client = await self._client(place)
        requests = []
        for _ in range(count):
            self.number += 1
            one = {"number": self.number, "id": f"client-{self.number}", "weight": self.weight, "cover": self.cover}
            self.asked[place].append(one)
            forged = {"seatrial-relayed": "stable x"} if self.number % 3 == 0 else {}
            requests.append(post(body(one["number"], id=one["id"]), x_client=one["id"], **forged))
        client.writer.write(b"".join(requests))
        await self._read(count)

    async def _mistake(self, place: int) -> None:
        client = await self._client(place)
        self.asked[place].append({"mistake": True})
        client.writer.write(post(b"{", x_client="mistake"))
        await self._read(1)

    async def _disconnect(self, place: int) -> None:
        if place in self.clients:
            self.clients.pop(place).close()
            self.lost += len(self.asked.pop(place))  # some of them may have been read

    async def _mode(self, mode: Mode) -> None:
        self.between.mode = mode

    async def _die(self) -> None:
        self.between.die()

    async def _live(self) -> None:
        await self.between.live()

    async def _assign(self, weight: float, shadow: float, cover: bool, sticky: bool) -> None:
        self.clock.ahead = 0
        fields = {"sticky": "x-client"} if sticky else {}
        text = assignment(weight=weight, shadow=shadow, cover=cover, coverAfter=COVER_AFTER, **fields)
        self.stable.relay.follow(text)
        self.weight, self.cover = weight, cover

    async def _odd(self, text: bytes) -> None:
        self.stable.relay.follow(text)
        self.weight = 0

    async def _expire(self) -> None:
        self.clock.ahead = 1000
        self.weight = 0

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    # Inside

    async def _client(self, place: int) -> Client:
        if place not in self.clients:
            self.clients[place] = await Client.connect(self.ports[0])
            self.asked[place] = []
        return self.clients[place]

    async def _read(self, count: int) -> None:
        """What is in force when a request is sent must still be when it is read: wait until all have been."""
        self.sent += count
        await until(lambda: self._seen() >= self.sent - self.lost)

    def _seen(self) -> int:
        """Requests that stable has counted once, in whatever way, or will count when they are answered."""
        return self.stable.counters.in_flight + self.stable.answered + sum(self.stable.relayed().values())

    async def _settle(self, place: int) -> None:
        for one in self.asked.get(place, ()):
            reply = await self.clients[place].reply()
            if "mistake" in one:
                assert (reply.status, reply.who, reply.covered) == (400, "stable", None)
                continue
            if one["weight"] == 0:
                assert (reply.who, reply.covered) == ("stable", None), "followed an assignment that is not in force"
            if reply.status != 200:
                assert not one["cover"], "a failed answer in spite of cover"
                assert reply.covered is None
                continue
            assert reply.document["id"] == one["id"], "out of order, or somebody else's"
            assert reply.numbers == [{"stable": 2, "candidate": 3}[reply.who] * one["number"]]
            if reply.covered is not None:
                assert (reply.who, reply.covered) == ("stable", "candidate")
        if place in self.asked:
            self.asked[place] = []


@hypothesis.settings(
    max_examples=int(os.environ.get("SEATRIAL_SEQUENCES", "60")),
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
@hypothesis.given(STEPS, strategies.booleans())
@pytest.mark.timeout(3600)
def test_no_client_is_hurt_by_anything_that_happens_to_a_candidate(steps: list[tuple[Any, ...]], drain: bool) -> None:
    async def run() -> None:
        scene = Scene()
        await scene.open()
        await scene.play(steps, drain=drain)

    uvloop.run(run())
