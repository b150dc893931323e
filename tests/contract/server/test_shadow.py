"""Copies of answered requests for a candidate that serves nobody: compared, bounded, never in a client's way."""

from __future__ import annotations

import asyncio
import json
import socket

from tests.contract.server.pair import CANDIDATE, STABLE, Pair, Pod, assignment, pair
from tests.contract.server.talking import Client, body, post, until
from tests.contract.server.test_relay import several
from tests.contract.server.test_relay_rpc import Client as RpcClient


def ended(pod: Pod) -> dict[str, int]:
    return {outcome: count for outcome, count in pod.counters.relayed.copies["candidate"].items() if count}


def rows(pod: Pod) -> dict[str, int]:
    return {result: count for result, count in pod.counters.relayed.rows["candidate"].items() if count}


async def settled(both: Pair, count: int) -> dict[str, int]:
    await until(lambda: sum(rows(both.stable).values()) >= count)
    return rows(both.stable)


async def test_every_client_is_answered_here_and_the_candidate_gets_copies() -> None:
    async with pair() as both:
        both.assign(weight=0, shadow=100)
        assert {who for _, who in await several(both, 60)} == {"stable"}
        found = await settled(both, 60)
        assert set(found) <= {"different", "same", "dropped"}  # 3 x is another answer than 2 x, but for 0
        assert sum(found.values()) == 60
        assert found["different"] > 0
        assert both.candidate.answered == 60 - found.get("dropped", 0)
        assert both.stable.answered == 60
        assert both.stable.relayed() == {}, "a copy is no relayed request"


async def test_a_copy_is_one_request_whatever_its_rows() -> None:
    rows_of_one = {"name": "x", "shape": [3, 1], "datatype": "FP32", "data": [0, 0, 0]}
    async with pair() as both:
        both.assign(weight=0, shadow=100)
        client = await Client.connect(both.ports[0])
        assert (await client.ask(post(json.dumps({"inputs": [rows_of_one]}).encode()))).status == 200
        assert await settled(both, 3) == {"same": 3}
        assert ended(both.stable) == {"ok": 1}
        client.close()


async def test_equal_answers_are_the_same() -> None:
    async with pair() as both:
        both.assign(weight=0, shadow=100)
        client = await Client.connect(both.ports[0])
        for _ in range(5):
            assert (await client.ask(post(body(0), accept_encoding="gzip"))).who == "stable"
        assert await settled(both, 5) == {"same": 5}
        client.close()


async def test_calls_over_grpc_are_copied_and_compared_likewise() -> None:
    async with pair(rpc=True) as both, RpcClient(both) as calling:
        both.assign(weight=0, shadow=100)
        for number in (0, 1, 0, 2):
            assert await calling.ask(number) == (2 * number, {"seatrial-revision": "stable"})
        assert await settled(both, 4) == {"same": 2, "different": 2}
        assert (both.stable.answered, both.candidate.answered) == (4, 4)
        both.assign(weight=0, shadow=100, to=["127.0.0.9"])
        assert await calling.ask(1) == (2, {"seatrial-revision": "stable"})
        assert await settled(both, 5) == {"same": 2, "different": 2, "failed": 1}
        assert ended(both.stable) == {"ok": 4, "unreachable": 1}
        assert both.stable.relayed() == {}
        assert both.stable.account.used == 0


async def test_a_request_for_some_of_the_outputs_is_compared_in_those() -> None:
    async with pair() as both:
        both.assign(weight=0, shadow=100)
        client = await Client.connect(both.ports[0])
        for parameters in ({}, {"binary_data": True}):
            content = body(0, outputs=[{"name": "y", "parameters": parameters}])
            client.writer.write(post(content))
            assert (await client.reply(parsed=False)).who == "stable"
        assert await settled(both, 2) == {"same": 2}
        client.close()


async def test_what_was_relayed_or_copied_is_never_copied_again() -> None:
    async with pair(rpc=True) as both, RpcClient(both) as calling:
        client = await Client.connect(both.ports[0])
        both.candidate.relay.following.take(assignment(revision="stable", to=[STABLE], weight=0, shadow=100))
        for assigned in ({"weight": 100}, {"weight": 0, "shadow": 100}):
            both.assign(**assigned)
            for number in range(3):
                await client.ask(post(body(number)))
                await client.ask(post(body(number), x_other="1"))
                await calling.ask(number)
        await settled(both, 9)
        assert both.candidate.answered == 18
        assert not any(both.candidate.counters.relayed.copies["stable"].values())
        client.close()


async def test_who_wants_this_version_is_answered_here_and_not_copied() -> None:
    async with pair(rpc=True, pinning="Reject") as both, RpcClient(both) as calling:
        client = await Client.connect(both.ports[0])
        for assigned in ({"weight": 100}, {"weight": 0, "shadow": 100}):
            both.assign(**assigned)
            for _ in range(3):
                pinned = post(body(1)).replace(b"/models/m/infer", b"/models/m/versions/1/infer")
                assert (await client.ask(pinned)).who == "stable"
                assert (await calling.ask(1, x_version="1"))[1] == {"seatrial-revision": "stable"}
        await client.ask(post(body(1)))
        assert await settled(both, 1) == {"different": 1}
        assert both.candidate.answered == 1
        client.close()


async def test_a_large_body_has_its_bytes_of_the_budget_until_its_copy_is_back() -> None:
    large, small = b" " * 300_000, b" " * 20_000
    async with pair() as both:
        both.assign(weight=0, shadow=100)
        client = await Client.connect(both.ports[0])
        for space in (small, large):
            assert (await client.ask(post(body(1) + space))).status == 200
            assert (await client.ask(post(body(1).replace(b"[1]", b'["x"]') + space))).status == 400
        assert await settled(both, 2) == {"different": 2}
        assert ended(both.stable) == {"ok": 2}
        assert both.stable.account.used == 0
        client.close()


async def test_a_share_of_what_is_answered_here_is_copied() -> None:
    async with pair() as both:
        both.assign(weight=50, shadow=20)
        found = await several(both, 600, clients=4)
        relayed = sum(who == "candidate" for _, who in found)
        await until(lambda: both.stable.counters.relayed.in_flight == 0)
        copies, mine = sum(rows(both.stable).values()), len(found) - relayed
        assert abs(copies - 0.2 * mine) <= 6 * (0.2 * 0.8 * mine) ** 0.5, "which chance does once in a hundred million"
        assert both.stable.relayed() == {("ok", False): relayed}


async def test_what_a_candidate_cannot_answer_has_failed_and_what_is_too_much_is_dropped() -> None:
    async with pair() as both:
        await both.candidate.rest.close()
        with socket.create_server((CANDIDATE, both.ports[0])):
            both.assign(weight=0, shadow=100, coverAfter=0.4)
            clients = [await Client.connect(both.ports[0]) for _ in range(10)]
            for number in range(20):
                replies = await asyncio.gather(*(client.ask(post(body(number))) for client in clients))
                assert {reply.who for reply in replies} == {"stable"}
            found = await settled(both, 200)
        assert set(found) == {"failed", "dropped"}
        assert sum(found.values()) == 200
        assert set(ended(both.stable)) <= {"late", "unreachable", "shed"}
        assert ended(both.stable)["shed"] == found["dropped"]
        assert both.stable.account.used == 0
        for client in clients:
            client.close()
