"""Who may choose a version with a header: nobody, unless the assignment trusts its clients."""

from __future__ import annotations

import pytest
from tests.contract.server.pair import Pair, pair
from tests.contract.server.talking import Client, body, post
from tests.contract.server.test_relay_rpc import Client as RpcClient


async def who(both: Pair, wish: str, *, times: int = 4) -> set[str]:
    """Who answers requests that wish for a revision, over both transports."""
    client = await Client.connect(both.ports[0])
    found = {(await client.ask(post(body(number), seatrial_revision=wish))).who for number in range(times)}
    client.close()
    async with RpcClient(both) as calling:
        return found | {
            (await calling.ask(number, seatrial_revision=wish))[1]["seatrial-revision"] for number in range(times)
        }


@pytest.mark.parametrize(("weight", "answers"), [(0, "stable"), (100, "candidate")])
async def test_a_wish_for_a_revision_is_not_believed(weight: float, answers: str) -> None:
    async with pair(rpc=True) as both:
        both.assign(weight=weight)
        for wish in ("candidate", "stable"):
            assert await who(both, wish) == {answers}


@pytest.mark.parametrize("weight", [0, 100])
async def test_a_tester_gets_the_revision_that_was_wished_for(weight: float) -> None:
    async with pair(rpc=True) as both:
        both.assign(weight=weight, sticky="x-user", trustClientChoice=True)
        for wish in ("candidate", "stable"):
            assert await who(both, wish) == {wish}
        for nobody in ("third", "", "Candidate"):
            assert await who(both, nobody) == {"candidate" if weight else "stable"}


async def test_a_tester_is_covered_as_anybody_and_never_served_after_the_lease() -> None:
    async with pair() as both:
        both.assign(weight=0, trustClientChoice=True, to=["127.0.0.9"])
        client = await Client.connect(both.ports[0])
        wish = post(body(1), seatrial_revision="candidate")
        reply = await client.ask(wish)
        assert (reply.status, reply.who, reply.covered) == (200, "stable", "candidate")
        both.clock.ahead = 1000
        reply = await client.ask(wish)
        assert (reply.status, reply.who, reply.covered) == (200, "stable", None)
        client.close()
