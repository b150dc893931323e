"""HTTP/1.1 on the wire: order, framing, limits, and what is refused."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.server import process, raw
from tests.contract.server.process import Server, Wire, row
from tests.contract.server.raw import post
from tests.unit.server import graphs


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    with Wire(server.port) as connection:
        yield connection


def answers(wire: Wire, count: int) -> list[tuple[int, object]]:
    return [(status, json.loads(body)) for status, _, body in wire.responses(count)]


def test_pipelined_requests_are_answered_in_order(wire: Wire) -> None:
    ready = raw.get(b"/v2/health/ready")
    wire.send(b"".join(post(row(value, id=str(value))) + ready for value in range(100)))
    found = answers(wire, 200)
    assert [document["id"] for _, document in found[::2]] == [str(value) for value in range(100)]  # type: ignore[index]
    assert all(document == {"ready": True, "live": True} for _, document in found[1::2])


def test_a_chunked_body_is_read(wire: Wire) -> None:
    body = row()
    wire.send(raw.chunked(body[:5], body[5:30], body[30:], trailer=b"X-Trailer: 7\r\n") + post(row()))
    assert [status for status, _ in answers(wire, 2)] == [200, 200]


def test_a_request_may_arrive_byte_by_byte(wire: Wire) -> None:
    wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in post(row()):
        wire.send(bytes([byte]))
    assert answers(wire, 1)[0][0] == 200


def test_a_client_that_expects_to_be_told_to_continue_is_told(wire: Wire) -> None:
    head, _, body = post(row(), b"Expect: 100-continue").partition(b"\r\n\r\n")
    wire.send(head + b"\r\n\r\n")
    assert wire.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.send(body)
    assert answers(wire, 1)[0][0] == 200


def test_head_answers_without_a_body(wire: Wire) -> None:
    wire.send(b"HEAD /v2 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
    head, _, body = wire.rest().partition(b"\r\n\r\n")
    assert b"200 OK" in head
    assert b"Content-Length: 0" not in head
    assert body == b""


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /v2/models/model/infer HTTP/1.1\r\nHost: t\r\n\r\n", 405),
        (b"DELETE /v2 HTTP/1.1\r\nHost: t\r\n\r\n", 405),
        (b"GET /nothing HTTP/1.1\r\nHost: t\r\n\r\n", 404),
        (b"GET /v2/models/other HTTP/1.1\r\nHost: t\r\n\r\n", 404),
        (b"GET /v2/models/model/versions/9 HTTP/1.1\r\nHost: t\r\n\r\n", 200),
        (b"POST /v2/models/model/infer HTTP/1.1\r\nHost: t\r\n\r\n", 411),
        (b"GET /v2/models/model/versions/1 HTTP/1.1\r\nHost: t\r\n\r\n", 200),
        (b"GET http://t/v2/health/live HTTP/1.1\r\nHost: t\r\n\r\n", 200),
        (b"GET /v2/ HTTP/1.1\r\nHost: t\r\n\r\n", 200),
    ],
    ids=lambda value: value.split(b"\r\n")[0].decode() if isinstance(value, bytes) else str(value),
)
def test_the_connection_survives_an_answer_to_a_well_formed_request(
    wire: Wire, request_bytes: bytes, status: int
) -> None:
    wire.send(request_bytes)
    assert wire.responses(1)[0][0] == status
    wire.send(post(row()))
    assert wire.responses(1)[0][0] == 200


CHUNKED = b"Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (post(b"abcde", CHUNKED), 400),
        (post(b"abcde", b"Content-Length: 5"), 400),
        (post(b"abcde", b"Content-Length: 6"), 400),
        (b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: +5\r\n\r\nabcde", 400),
        (b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length : 5\r\n\r\nabcde", 400),
        (b"GET / HTTP/1.1\nHost: t\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\nHost: t\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: t\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: t\r\nX: " + b"a" * 50_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: t\r\nX: " + b"a" * 50_000, 431),
        (b"GET / HTTP/1.1\r\nHost: t\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (post(b"", b"Content-Encoding: br"), 415),
        (post(b"", b"Content-Encoding: gzip, gzip"), 415),
        (post(b"", b"Expect: miracles"), 417),
    ],
    ids=lambda value: repr(value[-40:]) if isinstance(value, bytes) else str(value),
)
def test_what_could_be_read_in_two_ways_is_refused_and_the_connection_ends(
    wire: Wire, request_bytes: bytes, status: int
) -> None:
    wire.send(request_bytes + b"GET /v2/health/live HTTP/1.1\r\nHost: smuggled\r\n\r\n")
    found = wire.rest()
    assert found.startswith(b"HTTP/1.1 %d " % status)
    assert found.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in found
    assert b'"error":' in found


def test_a_client_that_closes_its_side_still_gets_its_answer(wire: Wire) -> None:
    wire.send(post(row()))
    wire.socket.shutdown(socket.SHUT_WR)
    assert wire.rest().startswith(b"HTTP/1.1 200 OK")


def test_http_1_0_is_answered_and_closed(wire: Wire) -> None:
    wire.send(b"GET /v2 HTTP/1.0\r\n\r\n")
    assert b"Connection: close" in wire.rest()


def test_a_model_name_with_unusual_characters_is_found(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graphs.linear())
    with process.serving(tmp_path / "model.onnx", "--name", "a b/c") as running:
        status, document = running.post("/v2/models/a%20b%2Fc/infer", row())
    assert (status, document["model_name"]) == (200, "a b/c")


def test_a_model_named_as_a_path_of_the_protocol_is_found(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graphs.linear())
    with process.serving(tmp_path / "model.onnx", "--name", "stats") as running:
        assert running.get("/v2/models/stats")[1]["name"] == "stats"
        assert "model_stats" in running.get("/v2/models/stats/stats")[1]
        assert running.post("/v2/models/stats/infer", row())[0] == 200
