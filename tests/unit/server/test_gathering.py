"""Calls are taken up together while several clients call; a lone client is hardly ever held back."""

from __future__ import annotations

import asyncio
import time

from seatrial_server.protocol.rpc import gathering


class Taken:
    """What was taken up, and in how many turns."""

    def __init__(self) -> None:
        self.items: list[int] = []
        self.gathering = gathering.Gathering(self.items.append)

    async def all(self, count: int) -> float:
        """Seconds until this many have been taken up."""
        started = time.perf_counter()
        async with asyncio.timeout(5):
            while True:
                if len(self.items) >= count:
                    return time.perf_counter() - started
                await asyncio.sleep(0)


async def test_a_lone_client_is_held_back_ever_more_seldom() -> None:
    taken, held = Taken(), []
    for number in range(200):
        taken.gathering.add(number)
        if await taken.all(number + 1) > 0.0015:
            held.append(number)
    assert taken.items == list(range(200))
    assert {15, 47, 111} <= set(held)  # after 16 calls, then 32, then 64
    assert len(held) < 20  # a busy machine may delay others as well


async def test_calls_in_the_window_are_taken_up_in_their_order() -> None:
    taken = Taken()
    for number in range(15):
        taken.gathering.add(number)
        await taken.all(number + 1)
    taken.gathering.add(15)  # held back to see
    await asyncio.sleep(0)
    taken.gathering.add(16)
    await taken.all(17)
    taken.gathering.add(17)  # there are several: held back again
    await asyncio.sleep(0)
    assert taken.items == list(range(17))
    await taken.all(18)
    taken.gathering.add(18)  # nobody else came: back to taking up at once
    await asyncio.sleep(0)
    assert taken.items == list(range(19))
