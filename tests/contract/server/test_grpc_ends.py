"""The end of gRPC connections: the real listener on a real socket, with short times. No call may be lost."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from typing import Any

import grpc
import pytest
from tests.contract.server import process

from seatrial_server.protocol.rpc import listener

# Each client with a connection of its own, as processes have.
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


class Echo(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
    """Answers every call with its message, and says behind it who has called."""

    last_call = 0.0

    def service(self, _: Any) -> Any:
        self.last_call = time.monotonic()
        return grpc.unary_unary_rpc_method_handler(self._answer)

    async def _answer(self, body: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("peer", context.peer()),))
        return body


class Client:
    """Calls until told to stop or, once `leave` is set, until the server has ended the connection.

    Which one a call came by is what the server says: the channel tells of its state now and then, and may miss an end.
    """

    def __init__(self, port: int) -> None:
        self.answered = self.connections = 0
        self.stop, self.leave = threading.Event(), threading.Event()
        self._address = f"127.0.0.1:{port}"

    def run(self) -> None:
        """Raises `grpc.RpcError` when a call is lost."""
        with grpc.insecure_channel(self._address, options=OWN_CONNECTION) as channel:
            method, last = channel.unary_unary("/any/call"), ""
            while not self.stop.is_set():
                leaving = self.leave.is_set()
                try:
                    answer, call = method.with_call(b"x", timeout=process.DEADLINE)
                except grpc.RpcError as error:
                    if not (self.leave.is_set() and "failed to connect" in error.details()):
                        raise
                    return  # it had let go, and would have come to another pod before it heard that it had
                assert answer == b"x"
                self.answered += 1
                peer = dict(call.trailing_metadata())["peer"]
                if peer != last:
                    self.connections += 1
                    if leaving and last:
                        return
                last = peer


@pytest.fixture
def pool() -> Any:
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        yield threads


async def opened(**ages: float) -> tuple[listener.Listener, int]:
    server = listener.Listener(Echo(), max_message_bytes=1000, ages=listener.Ages(**ages))
    return server, await server.open(host="127.0.0.1", port=0)


async def until(condition: Any) -> None:
    async with asyncio.timeout(process.DEADLINE):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def test_an_old_connection_is_replaced_without_a_lost_call(pool: concurrent.futures.Executor) -> None:
    server, port = await opened(connection=0.2, keep_accepting=0, quiet=0, finish=60)
    clients = [Client(port) for _ in range(4)]
    futures = [pool.submit(client.run) for client in clients]
    await until(lambda: all(client.connections > 5 for client in clients) or any(one.done() for one in futures))
    for client in clients:
        client.stop.set()
    for future in futures:
        await asyncio.wrap_future(future)
    await server.drain()


async def test_a_stopping_server_loses_no_call(pool: concurrent.futures.Executor) -> None:
    server, port = await opened(connection=0.5, keep_accepting=1.5, quiet=0.3, finish=60)
    clients = [Client(port) for _ in range(4)]
    futures = [pool.submit(client.run) for client in clients]
    await until(lambda: all(client.answered > 20 for client in clients))
    for client in clients:
        client.leave.set()  # in a cluster the pod is no endpoint any more: who reconnects comes to another
    await server.drain()
    for future in futures:
        await asyncio.wrap_future(future)


async def test_a_server_that_nobody_calls_stops_at_once() -> None:
    server, _ = await opened(connection=1000, keep_accepting=0.05, quiet=0.1, finish=1000)
    started = time.monotonic()
    await server.drain()
    assert time.monotonic() - started < process.DEADLINE


async def test_a_connection_too_many_is_turned_away() -> None:
    server = listener.Listener(Echo(), max_message_bytes=1000, max_connections=2)
    port = await server.open(host="127.0.0.1", port=0)

    async def greeted() -> tuple[bool, asyncio.StreamWriter]:
        """Whether the server says anything but goodbye."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        async with asyncio.timeout(process.DEADLINE):
            try:
                return bool(await reader.read(9)), writer
            except ConnectionError:
                return False, writer

    found = [await greeted() for _ in range(3)]
    assert [well for well, _ in found] == [True, True, False]
    for _, writer in found:
        writer.close()
    await server.drain()


async def test_a_compressed_message_is_bounded_by_its_full_size(pool: concurrent.futures.Executor) -> None:
    server, port = await opened()

    def send(size: int) -> grpc.StatusCode:
        address = f"127.0.0.1:{port}"
        with grpc.insecure_channel(address, options=OWN_CONNECTION, compression=grpc.Compression.Gzip) as channel:
            try:
                channel.unary_unary("/any/call")(bytes(size), timeout=process.DEADLINE)
            except grpc.RpcError as error:
                return error.code()
        return grpc.StatusCode.OK

    assert await asyncio.wrap_future(pool.submit(send, 900)) is grpc.StatusCode.OK
    assert await asyncio.wrap_future(pool.submit(send, 3_000_000)) is grpc.StatusCode.RESOURCE_EXHAUSTED
    await server.drain()


async def test_a_connection_too_many_is_closed() -> None:
    server = listener.Listener(Echo(), max_message_bytes=1000, max_connections=1)
    port = await server.open(host="127.0.0.1", port=0)
    settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    writers = []
    for answered in (True, False):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(settings)
        assert bool(await asyncio.wait_for(reader.read(100), process.DEADLINE)) is answered
        writers.append(writer)
    for writer in writers:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    await server.drain()
