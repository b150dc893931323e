"""What many or slow clients may hold: connections, unfinished bodies, half-closed sockets."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.contract.server import process
from tests.contract.server.process import Server, Wire, post, row
from tests.unit.server import graphs

from seatrial_server.protocol.http import exchange, listener, phases

MIB = 1024 * 1024
REQUEST = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(graphs.linear())
    with process.serving(path) as running:
        yield running


def memory(server: Server) -> int:
    """Resident MiB."""
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096 // MIB


def test_a_thousand_idle_connections_disturb_nobody(server: Server) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    before = memory(server)
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(1000):
                stack.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", server.port))))
            started = time.monotonic()
            with Wire(server.port) as wire:
                wire.send(post(row()) * 10)
                assert {status for status, _, _ in wire.responses(10)} == {200}
            assert time.monotonic() - started < 1
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
    head = b"POST /v2/models/model/infer HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%s\r\n" % (MIB, b" " * MIB)
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


@contextlib.asynccontextmanager
async def opened(bounds: phases.Bounds) -> AsyncIterator[tuple[listener.Listener, int]]:
    server = listener.Listener(Application(), bounds=bounds, ages=listener.Ages(keep_accepting=0, finish=1))
    port = await server.open(host="127.0.0.1", port=0)
    try:
        async with asyncio.timeout(10):
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
    async with opened(phases.Bounds(connections=2)) as (_, port):
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


async def test_unfinished_bodies_share_one_bound() -> None:
    body = post(b" " * 3 * MIB)
    async with opened(phases.Bounds(unfinished_bytes=1)) as (server, port):  # raised to what one body needs
        whole = server.room
        first, second = await Client.connect(port), await Client.connect(port)
        await first.send(body[:-1])
        await until(lambda: server.room < whole - 3 * MIB)
        assert await (await second.send(body[:-1])).status() == b"503"
        assert await (await first.send(body[-1:])).status() == b"200"
        assert server.room == whole
        await first.send(body[:-1])
        await first.close()
        await until(lambda: server.room == whole)
        await second.close()


async def until(condition: Callable[[], bool]) -> None:
    while True:
        if condition():
            return
        await asyncio.sleep(0.005)
