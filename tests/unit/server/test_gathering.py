"""Calls are taken up together while several clients call; a lone client is hardly ever held back."""

from __future__ import annotations

import asyncio

import pytest

from seatrial_server.protocol.rpc import gathering


@pytest.fixture(autouse=True)
def wide_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held back is told by the turn of the loop in which it comes, and no pause of a busy machine is as long
    as the window.
    """
    monkeypatch.setattr(gathering, "_WINDOW_SECONDS", 0.1)


class Taken:
    """What was taken up, and in how many turns."""

    def __init__(self) -> None:
        self.items: list[int] = []
        self.gathering = gathering.Gathering(self.items.append)

    async def all(self, count: int) -> int:
        """The turns until this many have been taken up."""
        turns = 0
        async with asyncio.timeout(60):
            while len(self.items) < count:
                turns += 1
                await asyncio.sleep(0)
        return turns


async def test_a_lone_client_is_held_back_ever_more_seldom() -> None:
    taken, held = Taken(), []
    for number in range(200):
        taken.gathering.add(number)
        if await taken.all(number + 1) > 1:
            held.append(number)
    assert taken.items == list(range(200))
    assert held == [15, 47, 111]  # after 16 calls, then 32, then 64


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
