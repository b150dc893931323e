"""Every answer says which revision gave it, whatever it answers and however it was asked."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from tests.contract.server import prepared, process, raw
from tests.contract.server.process import Server, Wire
from tests.contract.server.test_grpc import KNOWN, call, infer

from seatrial_server.protocol import revision
from seatrial_server.protocol.http import exchange, limits, listener
from seatrial_server.protocol.rpc import messages

MARK = prepared.LABELS["revision"]
MODEL = "/v2/models/model"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("pod")
    with process.serving(*prepared.pod(folder, limits={"maxBodyBytes": 1000})) as running:
        yield running


def plain(method: bytes, target: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"%b %b HTTP/1.1" % (method, target), b"Host: test", *headers]) + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        pytest.param(raw.post(process.row()), 200, id="an answer"),
        pytest.param(raw.post(process.row(7)) * 2, 200, id="pipelined"),
        pytest.param(raw.post(process.row(), b"Accept-Encoding: gzip"), 200, id="perhaps compressed"),
        pytest.param(plain(b"GET", b"/v2"), 200, id="metadata"),
        pytest.param(plain(b"HEAD", b"/v2/health/ready"), 200, id="HEAD"),
        pytest.param(raw.post(b"{}"), 400, id="a client's mistake"),
        pytest.param(raw.post(process.row(), path=b"/v2/models/other/infer"), 404, id="another model"),
        pytest.param(plain(b"GET", b"/nothing"), 404, id="no such path"),
        pytest.param(plain(b"DELETE", b"/v2"), 405, id="no such method"),
        pytest.param(plain(b"POST", b"/v2/models/model/infer"), 411, id="no length"),
        pytest.param(raw.post(bytes(2000)), 413, id="too large"),
        pytest.param(raw.post(b"", b"Expect: something"), 417, id="an unknown expectation"),
        pytest.param(plain(b"GET", b"/v2", b"X-Long: " + b"x" * 100_000), 431, id="large headers"),
        pytest.param(b"no HTTP at all\r\n\r\n", 400, id="malformed"),
    ],
)
def test_over_rest(server: Server, request_bytes: bytes, status: int) -> None:
    with Wire(server.port) as wire:
        head = wire.send(request_bytes).socket.makefile("rb")
        assert int(head.readline().split()[1]) == status
        lines = list(iter(head.readline, b"\r\n"))  # only the head: an answer to HEAD announces a body that never comes
    assert f"{revision.NAME}: {MARK}\r\n".encode() in lines


def test_over_rest_the_short_way(server: Server) -> None:
    with Wire(server.port) as wire:
        for value in range(5):
            [(status, headers, _)] = wire.send(raw.post(process.row(value))).responses(1)
            assert (status, headers[revision.NAME]) == (200, MARK)


@pytest.mark.parametrize(("target", "status"), [(b"/metrics", 200), (b"/healthz", 200), (b"/", 404)])
def test_on_the_metrics_port(server: Server, target: bytes, status: int) -> None:
    with Wire(int(server.metrics_url.rpartition(":")[2])) as wire:
        [(found, headers, _)] = wire.send(plain(b"GET", target)).responses(1)
    assert (found, headers[revision.NAME]) == (status, MARK)


GOOD = {
    "ModelInfer": infer(),
    "ModelMetadata": KNOWN.request["ModelMetadata"](name="model"),
    "ServerReady": None,
    "RepositoryIndex": None,
}


@pytest.mark.parametrize("name", GOOD)
def test_over_grpc_in_trailing_metadata(server: Server, name: str) -> None:
    content = GOOD[name] or KNOWN.request[name]()
    with grpc.insecure_channel(server.grpc) as channel:
        _, done = channel.unary_unary(f"/{messages.SERVICE}/{name}").with_call(
            content.SerializeToString(), timeout=process.DEADLINE
        )
    assert dict(done.trailing_metadata())[revision.NAME] == MARK


REFUSED = {
    "a client's mistake": functools.partial(call, name="ModelInfer", message=b"\xff\xff"),
    "another model": functools.partial(call, name="ModelMetadata", message=KNOWN.request["ModelMetadata"](name="o")),
    "malformed": functools.partial(call, name="ModelMetadata", message=b"\xff\xff"),
    "a load": functools.partial(call, name="RepositoryModelLoad"),
    "an unknown call": lambda channel: channel.unary_unary("/any/call")(b"", timeout=process.DEADLINE),
    "a stream nobody knows": lambda channel: list(
        channel.stream_stream("/any/call")(iter([]), timeout=process.DEADLINE)
    ),
}


@pytest.mark.parametrize("way", REFUSED)
def test_a_refusal_over_grpc_has_it_as_well(server: Server, way: str) -> None:
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        REFUSED[way](channel)
    assert dict(caught.value.trailing_metadata())[revision.NAME] == MARK
    assert caught.value.code() is not grpc.StatusCode.UNKNOWN


def test_without_a_configured_revision_there_is_none(tmp_path: Path) -> None:
    with process.serving(*prepared.pod(tmp_path, revision="")) as server:
        with Wire(server.port) as wire:
            [(_, headers, _)] = wire.send(raw.post(process.row())).responses(1)
        with grpc.insecure_channel(server.grpc) as channel:
            method = channel.unary_unary(f"/{messages.SERVICE}/ModelInfer")
            _, done = method.with_call(infer().SerializeToString(), timeout=process.DEADLINE)
    assert revision.NAME not in headers
    assert not done.trailing_metadata()


class Nothing:
    """An application that nobody reaches."""

    max_body_bytes = 1

    def handle(self, exchange: exchange.Exchange) -> None:
        raise AssertionError(exchange)

    def refused(self, exchange: exchange.Exchange, error: Exception) -> None:
        raise AssertionError(exchange, error)

    def turned_away(self) -> None:
        pass


async def test_a_client_that_is_turned_away_learns_who_did_it() -> None:
    server = listener.Listener(Nothing(), bounds=limits.Bounds(connections=0), lines=revision.line(MARK))
    reader, writer = await asyncio.open_connection("127.0.0.1", await server.open(host="127.0.0.1", port=0))
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nseatrial-revision: abc\r\n" in answer
    writer.close()
    await server.close()
