"""What many or slow clients may hold: connections, unfinished bodies, half-closed sockets."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.contract.server import process, raw
from tests.contract.server.process import Server, Wire, row
from tests.contract.server.raw import post

from seatrial_server.host import budget, errors
from seatrial_server.protocol.http import exchange, limits, listener

MIB = 1024 * 1024
REQUEST = raw.get()


def memory(server: Server) -> int:
    """Resident MiB."""
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096 // MIB


def cpu(server: Server) -> float:
    """Seconds that it has computed: the same however busy the machine is."""
    return time.clock_gettime((~server.process.pid << 3) | 2)


def test_a_thousand_idle_connections_disturb_nobody(server: Server) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    before = memory(server)
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(1000):
                stack.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", server.port))))
            spent = cpu(server)
            with Wire(server.port) as wire:
                wire.send(post(row()) * 10)
                assert {status for status, _, _ in wire.responses(10)} == {200}
            assert cpu(server) - spent < 1
            assert memory(server) - before < 50
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("sent", [b"", b"POST /v2", post(row())[:-5], b"GET / HTTP/1.1\r\n"], ids=repr)
def test_a_client_that_closes_its_side_too_early_is_let_go(server: Server, sent: bytes) -> None:
    with Wire(server.port) as wire:
        wire.send(sent)
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.rest() == b""


def test_a_chunked_body_without_end_is_cut_off_at_the_limit(server: Server) -> None:
    head, chunk = raw.chunked_head(), raw.chunk(b" " * MIB)
    before = memory(server)
    with Wire(server.port) as wire:
        wire.send(head)
        for _ in range(70):
            wire.send(chunk)
        assert wire.rest().startswith(b"HTTP/1.1 413 ")
    assert memory(server) - before < 200


class Application:
    """Answers with the size of the body."""

    max_body_bytes = 3 * MIB

    def handle(self, request: exchange.Exchange) -> None:
        request.answer(200, str(len(request.body)).encode())

    def refused(self, request: exchange.Exchange, error: errors.RequestError) -> None:
        """Not counted."""

    def turned_away(self) -> None:
        """Nor this."""


@contextlib.asynccontextmanager
async def opened(
    *,
    bounds: limits.Bounds | None = None,
    timeouts: limits.Timeouts | None = None,
    size: int = 4 * MIB,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[tuple[listener.Listener, int]]:
    server = listener.Listener(
        Application(),
        bounds=bounds,
        timeouts=timeouts,
        account=budget.Budget(size),
        ages=listener.Ages(keep_accepting=0, finish=1),
        clock=clock,
    )
    port = await server.open(host="127.0.0.1", port=0)
    try:
        async with asyncio.timeout(process.DEADLINE):
            yield server, port
    finally:
        await server.close()


class Client:
    """One connection inside the event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, data: bytes) -> Client:
        self.writer.write(data)
        await self.writer.drain()
        return self

    async def status(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        await self.reader.readexactly(length)
        return head[9:12]

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


async def test_a_connection_too_many_is_turned_away_until_another_goes() -> None:
    async with opened(bounds=limits.Bounds(connections=2)) as (_, port):
        first, second = await Client.connect(port), await Client.connect(port)
        assert [await (await client.send(REQUEST)).status() for client in (first, second)] == [b"200", b"200"]
        third = await Client.connect(port)
        assert await third.status() == b"503"
        assert await third.reader.read() == b""
        await first.close()
        while True:
            fourth = await Client.connect(port)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                if await (await fourth.send(REQUEST)).status() == b"200":
                    break
            await fourth.close()
        for client in (second, third, fourth):
            await client.close()


async def test_a_client_that_is_turned_away_reads_why_whatever_it_has_sent() -> None:
    patient = limits.Timeouts(linger=process.DEADLINE)
    async with opened(bounds=limits.Bounds(connections=0), timeouts=patient) as (_, port):
        clients = [await Client.connect(port) for _ in range(20)]
        for client in clients:
            client.writer.write(post(b" " * MIB))
        assert {await client.status() for client in clients} == {b"503"}
        for client in clients:
            await client.close()


async def test_unfinished_bodies_share_one_bound() -> None:
    body = post(b" " * 3 * MIB)
    patient = limits.Timeouts(stalled=60, body=process.DEADLINE, linger=process.DEADLINE)
    async with opened(timeouts=patient) as (server, port):
        first, second = await Client.connect(port), await Client.connect(port)
        await first.send(body[:-1])
        await until(lambda: server.budget.used > 2 * MIB)
        assert await (await second.send(body[:-1])).status() == b"503"
        assert await (await first.send(body[-1:])).status() == b"200"
        assert server.budget.used == 0
        await first.send(body[:-1])
        await first.close()
        await until(lambda: server.budget.used == 0)
        await second.close()


async def test_an_upload_that_has_stalled_gives_way_to_another() -> None:
    body = post(b" " * 3 * MIB)
    async with opened(timeouts=limits.Timeouts(stalled=0)) as (server, port):
        first, second = await Client.connect(port), await Client.connect(port)
        await first.send(body[:-1])
        await until(lambda: server.budget.used == 3 * MIB - 1)  # nothing of it is under way any more
        seen = server.now
        await until(lambda: server.now > seen)
        assert await (await second.send(body)).status() == b"200"
        assert await first.status() == b"408"
        await until(lambda: server.budget.used == 0)
        for client in (first, second):
            await client.close()


async def test_bytes_that_came_quickly_buy_no_time_for_those_that_do_not_come() -> None:
    async with opened(timeouts=limits.Timeouts(body=0.3, slowest=1)) as (server, port):
        client = await Client.connect(port)
        await client.send(post(b" " * 3 * MIB)[:-1])
        assert await client.status() == b"408"
        await until(lambda: server.budget.used == 0)
        await client.close()


async def test_an_upload_that_moves_is_waited_for() -> None:
    """Time passes when a part has arrived, as the answer to another says: both wait for the same turn of the loop."""
    times = [0.0]
    async with opened(timeouts=limits.Timeouts(body=0.3, slowest=1), clock=lambda: times[-1]) as (server, port):
        client, other = await Client.connect(port), await Client.connect(port)
        body = post(b" " * 2000)
        for place in range(0, 2000, 400):
            await client.send(body[place : place + 400])
            assert await (await other.send(REQUEST)).status() == b"200"
            times.append(times[-1] + 0.16)  # there is a look at what has come after every second part
            await until(lambda: server.now == times[-1])
        await client.send(body[2000:])
        assert await client.status() == b"200"
        for one in (client, other):
            await one.close()


@pytest.mark.parametrize("size", [2, 100], ids=["two bytes", "a hundred"])
async def test_a_body_in_tiny_chunks_takes_no_more_memory_than_its_bytes(size: int) -> None:
    head, chunk = raw.chunked_head(path=b"/"), raw.chunk(b" " * size)
    async with opened() as (server, port):
        client = await Client.connect(port)
        await client.send(head)
        tracemalloc.start()
        sent = MIB // 4
        await client.send(chunk * (sent // size))
        await until(lambda: server.budget.used >= sent - size)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held < 2 * sent + len(chunk) * (sent // size)
        assert await (await client.send(b"0\r\n\r\n")).status() == b"200"
        await client.close()


async def until(condition: Callable[[], bool]) -> None:
    while True:
        if condition():
            return
        await asyncio.sleep(0.005)
