"""Slow clients, old connections, idle connections: the real listener on a real socket, with short times."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from tests.contract.server import process, raw

from seatrial_server.host import errors
from seatrial_server.protocol.http import exchange, limits, listener

REQUEST = raw.get()
SOON = 0.3


class Application:
    """Answers everything with `size` bytes."""

    max_body_bytes = 1000

    def __init__(self, size: int = 2) -> None:
        self._size = size

    def handle(self, request: exchange.Exchange) -> None:
        request.answer(200, b"x" * self._size)

    def refused(self, request: exchange.Exchange, error: errors.RequestError) -> None:
        """Not counted."""

    def turned_away(self) -> None:
        """Nor this."""


@contextlib.asynccontextmanager
async def connected(
    *, timeouts: limits.Timeouts, age: float = 100.0, size: int = 2
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    ages = listener.Ages(connection=age, keep_accepting=0, finish=1)
    server = listener.Listener(Application(size), timeouts=timeouts, ages=ages, jitter=lambda low, high: 1.0)
    port = await server.open(host="127.0.0.1", port=0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(process.DEADLINE):
            yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        await server.close()


@pytest.mark.parametrize(
    ("timeouts", "sent", "received"),
    [
        (limits.Timeouts(idle=SOON), b"", b""),
        (limits.Timeouts(head=SOON), REQUEST[:20], b"HTTP/1.1 408"),
        (
            limits.Timeouts(body=SOON),
            b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc",
            b"HTTP/1.1 408",
        ),
    ],
    ids=["silent", "half a head", "half a body"],
)
async def test_a_slow_client_is_not_waited_for(timeouts: limits.Timeouts, sent: bytes, received: bytes) -> None:
    async with connected(timeouts=timeouts) as (reader, writer):
        writer.write(sent)
        found = await reader.read()
        assert found.startswith(received)
        assert bool(found) == bool(received)


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    async with connected(timeouts=limits.Timeouts(write=SOON), size=20_000_000) as (reader, writer):
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(REQUEST)
        while not writer.is_closing():
            with contextlib.suppress(ConnectionError):
                writer.write(b"\r\n")
                await writer.drain()
            await asyncio.sleep(0.02)


async def test_an_old_connection_ends_with_an_announced_last_answer() -> None:
    async with connected(age=0.3, timeouts=limits.Timeouts()) as (reader, writer):
        found = b""
        while b"Connection: close" not in found:
            writer.write(REQUEST)
            found = await reader.readuntil(b"\r\n\r\nxx")
        assert await reader.read() == b""
