"""A stable pod passes a share of its requests on to a candidate's pod: real ports, real connections."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import random

import pytest
from tests.contract.server import raw
from tests.contract.server.pair import CANDIDATE, TOKEN, Pair, assignment, pair
from tests.contract.server.talking import Client, body, post, until

from seatrial_server.relay import targets


async def several(pair: Pair, count: int, *, clients: int = 8, **headers: str) -> list[tuple[int, str]]:
    """Numbers sent, and who answered each; every answer must be that revision's own."""
    found: list[tuple[int, str]] = []

    async def run(first: int) -> None:
        client = await Client.connect(pair.ports[0])
        for number in range(first, count, clients):
            reply = await client.ask(post(body(number), **headers))
            assert reply.status == 200
            factor = 3 if reply.who == "candidate" else 2
            assert reply.numbers == [factor * number]
            found.append((number, reply.who))
        client.close()

    await asyncio.gather(*(run(first) for first in range(clients)))
    return found


async def test_without_an_assignment_every_request_is_answered_here() -> None:
    async with pair() as both:
        assert {who for _, who in await several(both, 50)} == {"stable"}
        assert both.candidate.answered == 0


async def test_a_relayed_answer_names_the_candidate_and_is_its_own() -> None:
    async with pair() as both:
        both.assign(weight=100)
        client = await Client.connect(both.ports[0])
        reply = await client.ask(post(body(7, id="mine")))
        assert (reply.status, reply.who, reply.covered, reply.numbers) == (200, "candidate", None, [21])
        assert reply.document["id"] == "mine"
        assert both.stable.answered == 0, "it is no evidence for stable"
        assert both.stable.relayed() == {("ok", False): 1}
        assert both.candidate.answered == 1
        client.close()


@pytest.mark.parametrize("weight", [1, 10, 50])
async def test_the_share_is_the_one_that_was_asked_for(weight: float) -> None:
    async with pair(draw=random.Random(4).random) as both:
        both.assign(weight=weight)
        found = await several(both, 1500)
        share, asked = sum(who == "candidate" for _, who in found) / len(found), weight / 100
        assert abs(share - asked) <= 3 * math.sqrt(asked * (1 - asked) / len(found))
        assert both.stable.answered + both.candidate.answered == len(found)
        assert both.stable.relayed() == {("ok", False): both.candidate.answered}


async def test_bodies_of_every_kind_arrive_as_they_were_sent() -> None:
    async with pair() as both:
        both.assign()
        client = await Client.connect(both.ports[0])
        packed = gzip.compress(body(5))
        assert (await client.ask(post(packed, content_encoding="gzip"))).numbers == [15]
        assert (await client.ask(raw.chunked(body(6), path=b"/v2/models/m/infer"))).numbers == [18]
        rows = {"name": "x", "shape": [3, 1], "datatype": "FP32", "data": [1, 2, 3]}
        assert (await client.ask(post(json.dumps({"inputs": [rows]}).encode()))).numbers == [3, 6, 9]
        assert both.candidate.answered == 3
        client.close()


async def test_a_clients_mistake_is_answered_here_and_never_relayed() -> None:
    async with pair() as both:
        both.assign()
        client = await Client.connect(both.ports[0])
        assert (await client.ask(post(body(1)))).who == "candidate"  # the form is known now
        unknown = raw.post(b"{}", path=b"/v2/models/other/infer")
        for request in (
            post(b"{"),
            post(body(1).replace(b"[1]", b"[1x]")),
            post(body(1).replace(b"FP32", b"FP99")),
            unknown,
        ):
            reply = await client.ask(request)
            assert reply.status in (400, 404)
            assert (reply.who, reply.covered) == ("stable", None)
        assert both.candidate.answered == 1
        client.close()


async def test_pipelined_answers_keep_their_order_whoever_gives_them() -> None:
    async with pair() as both:
        both.assign(weight=50)
        client = await Client.connect(both.ports[0])
        client.writer.write(b"".join(post(body(number)) for number in range(60)))
        replies = [await client.reply() for _ in range(60)]
        assert [reply.numbers for reply in replies] == [
            [(3 if reply.who == "candidate" else 2) * number] for number, reply in enumerate(replies)
        ]
        assert {reply.who for reply in replies} == {"stable", "candidate"}
        client.close()


async def test_one_user_sees_one_version_and_keeps_it_while_the_weight_grows() -> None:
    async with pair() as both:
        moved: set[str] = set()
        for weight in (10, 40, 100):
            both.assign(weight=weight, sticky="x-user")
            now = set()
            for user in map(str, range(60)):
                answers = {who for _, who in await several(both, 3, clients=1, x_user=user)}
                assert len(answers) == 1
                now |= {user} if answers == {"candidate"} else set()
            assert moved <= now
            moved = now
        assert len(moved) == 60


async def test_headers_of_the_relay_that_come_from_outside_are_not_believed() -> None:
    async with pair() as both:
        both.assign()
        client = await Client.connect(both.ports[0])
        for forged in ("stable", "stable " + "x" * 16, "", TOKEN[:-1]):
            reply = await client.ask(
                post(body(1), seatrial_relayed=forged, seatrial_covered="x", seatrial_revision="y")
            )
            assert (reply.who, reply.covered) == ("candidate", None)
        client.close()


async def test_a_relayed_request_is_never_relayed_again() -> None:
    async with pair() as both:
        both.assign()
        both.candidate.relay.following.take(assignment(revision="stable", to=["127.0.0.1"]))
        client = await Client.connect(both.ports[0])
        for number in range(5):
            assert (await client.ask(post(body(number)))).who == "candidate"
        client.close()
        client = await Client.connect(both.ports[0], CANDIDATE)
        assert (await client.ask(post(body(1)))).who == "stable"
        client.close()


async def test_the_assignment_is_not_followed_once_its_lease_is_over() -> None:
    async with pair() as both:
        both.assign(lease=60)
        client = await Client.connect(both.ports[0])
        both.clock.ahead = 89
        assert (await client.ask(post(body(1)))).who == "candidate"
        both.clock.ahead = 91
        assert (await client.ask(post(body(1)))).who == "stable"
        both.stable.relay.following.end_lease()
        assert both.stable.relay.assigned is None
        assert both.stable.counters.relayed.ratio == {"candidate": 0.0}
        client.close()


async def test_the_pods_of_another_revision_get_no_byte_of_a_client() -> None:
    async with pair() as both:
        both.assign(revision="third")
        client = await Client.connect(both.ports[0])
        reply = await client.ask(post(body(1)))
        assert (reply.who, reply.covered, reply.numbers) == ("stable", "third", [2])
        assert both.candidate.answered == 0
        client.close()


async def test_without_cover_the_client_gets_what_the_candidate_says() -> None:
    async with pair() as both:
        both.assign(cover=False)
        client = await Client.connect(both.ports[0])
        assert (await client.ask(post(body(1)))).who == "candidate"
        both.assign(cover=False, to=["127.0.0.9"])
        reply = await client.ask(post(body(1)))
        assert (reply.status, reply.who, reply.document["code"]) == (503, "stable", "CandidateUnreachable")
        assert both.stable.relayed() == {("ok", False): 1, ("unreachable", False): 1}
        client.close()


async def test_a_candidate_that_cannot_be_reached_costs_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "REST_SECONDS", 100.0)  # it is not tried again while this machine is slow
    async with pair() as both:
        await both.candidate.close(rpc=False)
        both.assign()
        client = await Client.connect(both.ports[0])
        for number in range(20):
            reply = await client.ask(post(body(number)))
            assert (reply.status, reply.who, reply.covered, reply.numbers) == (200, "stable", "candidate", [2 * number])
        counted = both.stable.relayed()
        assert sum(counted.values()) == 20
        assert counted["unreachable", True] == 5, "then the address rests"
        assert both.stable.answered == 0
        client.close()


async def test_stable_drains_without_losing_what_it_has_relayed() -> None:
    async with pair() as both:
        both.assign(weight=50)
        clients = [await Client.connect(both.ports[0]) for _ in range(8)]
        for number, client in enumerate(clients):
            client.writer.write(post(body(number)))
        await until(lambda: both.stable.answered + both.candidate.answered > 0)
        ending = asyncio.create_task(both.stable.close(rpc=False))
        replies = [await client.reply() for client in clients]
        assert [reply.status for reply in replies] == [200] * 8
        for client in clients:
            client.close()
        await ending
