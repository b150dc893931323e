"""What happens around two pods in random order, and what must hold for every client whatever happens.

A sequence is one scene: real ports, a candidate that can fail in every way that `between` knows, clients that pipeline
and leave, assignments that change, end or are none, pods that are told to go. `test_relay_sequences` plays some of
them with each run of the suite, `python -m tests.bench relay-sequences` thousands.
"""

from __future__ import annotations

import asyncio
import collections
import gzip
import json
from typing import Any

import grpc
from tests.cluster.harness import ports
from tests.contract.server import process
from tests.contract.server.between import Between, Mode, Pipe
from tests.contract.server.pair import CANDIDATE, FACTORS, STABLE, Clock, Pod, assignment
from tests.contract.server.relay_steps import ODD, Sequence
from tests.contract.server.talking import Client, Reply, body, post, until
from tests.contract.server.test_relay_rpc import Client as RpcClient

from seatrial_server.protocol.rpc import status

BEHIND = "127.0.0.3"
COVER_AFTER, SLOW, TIMEOUT = 0.05, 0.01, 2
"""Seconds. Only what nobody covers ends at `TIMEOUT`: what is covered must be answered, however slow the machine is."""
VALUES = 5
SPACES = {"large": 20_000, "huge": 300_000}
"""Bytes from which on a body has its share of the budget, and from which on it is read in a thread."""


class Scene:
    """The world of one sequence. `asked` are the requests of each connection that have no answer yet."""

    def __init__(self, sequence: Sequence) -> None:
        self.clock, self.ports, self._sequence = Clock(), ports.free(2), sequence
        self._rpc = sequence.rpc
        self.stable, self.candidate = self._pod("stable", self.clock), self._pod("candidate")
        self.between, self.pipe = Between(slow=SLOW), Pipe(slow=SLOW)
        self.calls: list[asyncio.Task[None]] = []
        self.clients: dict[int, Client] = {}
        self.asked: dict[int, list[dict[str, Any]]] = {}
        self.number = self.sent = self.unread = 0
        self.assigned: dict[str, Any] = {"weight": 0.0, "cover": True, "trust": False}
        self.answers: collections.Counter[str] = collections.Counter()
        """What clients saw: stable's own, covered, the candidate's, or stable's word that the candidate was silent."""

    async def play(self) -> None:
        """All steps, then what is still open."""
        await self.candidate.open(BEHIND, self.ports, rpc=self._rpc)
        await self.stable.open(STABLE, self.ports, rpc=self._rpc)
        await self.between.open(CANDIDATE, self.ports[0], behind=BEHIND)
        if self._rpc:
            await self.pipe.open(CANDIDATE, self.ports[1], behind=BEHIND)
        self.caller = RpcClient(self)
        for name, *arguments in self._sequence.steps:
            await getattr(self, f"_{name}")(*arguments)
        ending = asyncio.create_task(self.stable.close(rpc=self._rpc)) if self._sequence.drain else None
        for place in list(self.clients):
            await self._settle(place)
            client = self.clients.pop(place)
            assert await client.rest() == b"", "more answers than requests"
        await asyncio.gather(*self.calls)
        await until(lambda: self.stable.counters.in_flight == 0 and self.stable.counters.relayed.in_flight == 0)
        self.check()
        await self.caller.close()
        await (ending or self.stable.close(rpc=self._rpc))
        await asyncio.gather(self.between.close(), self.pipe.close())
        await self.candidate.close(rpc=self._rpc)
        assert self.stable.account.used == 0

    def check(self) -> None:
        """Everything that can be said once all is over."""
        relayed = self.stable.relayed()
        assert self._seen() == self.sent, "a request was counted twice, or not at all"
        if not self.unread:
            assert self.stable.answered == self.answers["own"], "another's request counted as stable's own"
            assert sum(count for (_, here), count in relayed.items() if here) == self.answers["covered"]
        _check_no_loop(self.candidate)
        for headers, document in self.between.requests:
            assert headers["x-client"] == document["id"], "a header of one client in another's request"
            assert headers["seatrial-relayed"].startswith("stable ")
            assert int(headers["seatrial-deadline-ms"]) <= 1000 * TIMEOUT

    # Steps

    async def _send(self, place: int, count: int, kind: str) -> None:
        client = await self._client(place)
        requests = []
        for _ in range(count):
            self.number += 1
            one = {"value": self.number % VALUES, "id": f"client-{self.number}", "kind": kind, **self.assigned}
            self.asked[place].append(one)
            requests.append(_request(one, forged=self.number % 3 == 0))
        client.writer.write(b"".join(requests))
        await self._read(count)

    async def _call(self, count: int) -> None:
        for _ in range(count):
            self.number += 1
            one = {"value": self.number % VALUES, "kind": "call", **self.assigned}
            self.calls.append(asyncio.create_task(self._answered(one)))
        await self._read(count)

    async def _answered(self, one: dict[str, Any]) -> None:
        try:
            number, trailers = await self.caller.ask(one["value"], seconds=0 if one["cover"] else TIMEOUT)
        except grpc.aio.AioRpcError as error:
            if one["cover"]:
                raise AssertionError("a failed call in spite of cover") from error
            trailers = dict(error.trailing_metadata() or ())
            said = json.loads(trailers[status.DETAILS])["code"]
            self.answers[_failed(said) if trailers["seatrial-revision"] == "stable" else "candidate"] += 1
            return
        who, covered = trailers["seatrial-revision"], "seatrial-covered" in trailers
        assert number == FACTORS[who] * one["value"], "another version's answer"
        assert who == "stable" or (one["weight"] and not covered)
        self.answers["covered" if covered else "own" if who == "stable" else who] += 1

    async def _mistake(self, place: int) -> None:
        client = await self._client(place)
        self.asked[place].append({"mistake": True})
        client.writer.write(post(b"{", x_client="mistake"))
        await self._read(1)

    async def _disconnect(self, place: int) -> None:
        if place in self.clients:
            self.clients.pop(place).close()
            self.unread += len(self.asked.pop(place))

    async def _mode(self, mode: Mode) -> None:
        self.between.mode = self.pipe.mode = mode

    async def _die(self) -> None:
        self.between.die()
        self.pipe.die()

    async def _live(self) -> None:
        await self.between.live()
        if self._rpc:
            await self.pipe.live()

    async def _replace(self) -> None:
        """The candidate's pod is told to go, and another one comes."""
        former, self.candidate = self.candidate, self._pod("candidate")
        await former.close(rpc=self._rpc)
        _check_no_loop(former)
        await self.candidate.open(BEHIND, self.ports, rpc=self._rpc)

    async def _mirror(self) -> None:
        """As in the moment of a flip: each of the two is told to pass everything on to the other."""
        self.candidate.relay.following.take(assignment(weight=50, shadow=100, revision="stable", to=[STABLE]))

    async def _assign(self, weight: float, shadow: float, cover: bool, sticky: bool, trust: bool) -> None:
        self.clock.ahead = 0
        fields: dict[str, Any] = {"sticky": "x-client"} if sticky else {}
        fields |= {"weight": weight, "shadow": shadow, "cover": cover, "trustClientChoice": trust}
        self.stable.relay.following.take(assignment(coverAfter=COVER_AFTER, **fields))
        self.assigned = {"weight": weight, "cover": cover, "trust": trust}

    async def _odd(self, name: str) -> None:
        self.stable.relay.following.take(ODD[name])
        self.assigned |= {"weight": 0, "trust": False}

    async def _expire(self) -> None:
        self.clock.ahead = 1000
        self.assigned |= {"weight": 0, "trust": False}

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    # Inside

    def _pod(self, name: str, clock: Clock | None = None) -> Pod:
        return Pod(name, clock=clock, cached=self._sequence.cached, timeout_seconds=process.DEADLINE)

    async def _client(self, place: int) -> Client:
        if place not in self.clients:
            self.clients[place] = await Client.connect(self.ports[0])
            self.asked[place] = []
        return self.clients[place]

    async def _read(self, count: int) -> None:
        """What is in force when a request is sent must still be when it is read: wait until all have been."""
        self.sent += count
        await until(lambda: self._seen() >= self.sent)

    def _seen(self) -> int:
        """Requests that stable has counted once, in whatever way, or will count when they are answered."""
        return self.stable.counters.in_flight + self.stable.answered + sum(self.stable.relayed().values())

    async def _settle(self, place: int) -> None:
        for one in self.asked.get(place, ()):
            reply = await self.clients[place].reply()
            self.answers[_said(one, reply)] += 1
            if "mistake" in one:
                assert (reply.status, reply.who, reply.covered) == (400, "stable", None)
                continue
            if one["weight"] == 0 and not (one["trust"] and one["kind"] == "wish"):
                assert (reply.who, reply.covered) == ("stable", None), "followed an assignment that is not in force"
            if reply.status != 200:
                assert not one["cover"], "a failed answer in spite of cover"
                assert reply.covered is None
                continue
            assert reply.document["id"] == one["id"], "out of order, or somebody else's"
            assert reply.numbers == [FACTORS[reply.who] * one["value"]], "another version's answer"
            if reply.covered is not None:
                assert (reply.who, reply.covered) == ("stable", "candidate")
        if place in self.asked:
            self.asked[place] = []


def _check_no_loop(candidate: Pod) -> None:
    """Whatever comes to it has been relayed, or is a copy."""
    counted = candidate.counters.relayed
    assert not any(counted.requests.get("stable", {}).values()), "a relayed request was relayed again"
    assert not any(counted.copies.get("stable", {}).values()), "a relayed request, or a copy, was copied"


def _said(one: dict[str, Any], reply: Reply) -> str:
    if reply.who != "stable":
        return reply.who
    if reply.covered is not None:
        return "covered"
    return "own" if reply.status == 200 or "mistake" in one else _failed(reply.document["code"])


def _failed(code: str) -> str:
    """Whose failure it is that stable tells of."""
    return "silent" if code.startswith("Candidate") else "own"


def _request(one: dict[str, Any], *, forged: bool) -> bytes:
    limit = {} if one["cover"] else {"parameters": {"timeout": int(TIMEOUT * 1e6)}}
    content = body(one["value"], id=one["id"], **limit) + b" " * SPACES.get(one["kind"], 0)
    headers = {"seatrial-relayed": "stable x"} if forged else {}
    if one["kind"] == "packed":
        headers["content-encoding"], content = "gzip", gzip.compress(content)
    elif one["kind"] == "wish":
        headers["seatrial-revision"] = "candidate"
    return post(content, x_client=one["id"], **headers)
