"""Waits in a running event loop until something holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T]], *, what: str, seconds: float = 60) -> T:
    """The first truthy result of `look`; AssertionError with the last one after the deadline."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (found := await look()):
        assert asyncio.get_running_loop().time() < deadline, f"{what}: not within {seconds:g} s, last was {found!r}"
        await asyncio.sleep(0.05)
    return found
