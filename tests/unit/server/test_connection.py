"""The two halves of a connection do not take each other's state for their own."""

from __future__ import annotations

import json

import pytest
from tests.unit.server import graphs
from tests.unit.server.port import Port, post, row, turns

LINEAR = graphs.linear()
LARGE = post(
    b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}],"parameters":{"p":"%b"}}'
    % (b"p" * 200_000)
)


@pytest.mark.parametrize("cut", [1, 20, 60])
async def test_a_body_does_not_count_as_the_next_requests_head(cut: int) -> None:
    connection, wire = Port(LINEAR).connect()
    connection.data_received(LARGE + row(1, 0, 0, 0)[:cut])
    connection.data_received(row(1, 0, 0, 0)[cut:])
    await turns()
    assert [status for status, _, _ in wire.answers()] == [200, 200]


async def test_a_head_in_two_halves_may_be_as_large_as_in_one() -> None:
    connection, wire = Port(LINEAR).connect()
    body = row(1, 0, 0, 0).partition(b"\r\n\r\n")[2]
    whole = post(body, b"X-Large: %b\r\n" % (b"x" * 30_000))
    for part in (whole[:15_000], whole[15_000:]):
        connection.data_received(part)
    await turns()
    assert [status for status, _, _ in wire.answers()] == [200]


@pytest.mark.parametrize(
    ("begin", "status"), [(b"GET / HTTP/1.1\r\nX: ", 431), (b"GET /", 414)], ids=["header", "target"]
)
async def test_a_head_without_end_is_not_kept_without_end(begin: bytes, status: int) -> None:
    connection, wire = Port(LINEAR).connect()
    connection.data_received(begin)
    for _ in range(6):
        connection.data_received(b"a" * 9000)
    await turns()
    assert [found for found, _, _ in wire.answers()] == [status]


async def test_a_trailer_without_end_is_not_kept_without_end() -> None:
    connection, wire = Port(LINEAR).connect()
    connection.data_received(
        b"POST /v2/models/m/infer HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: "
    )
    for _ in range(6):
        connection.data_received(b"a" * 9000)
    await turns()
    assert [status for status, _, _ in wire.answers()] == [431]


@pytest.mark.parametrize("cut", [30, 55, 75])
async def test_a_client_that_does_not_read_for_a_while_loses_no_header(cut: int) -> None:
    port = Port(LINEAR)
    connection, wire = port.connect()
    body = row(1, 0, 0, 0).partition(b"\r\n\r\n")[2]
    asking = post(body, b"X-Request-Id: mine\r\n")
    connection.data_received(row(2, 0, 0, 0) + asking[:cut])
    connection.pause_writing()
    await turns()
    connection.resume_writing()
    connection.data_received(asking[cut:])
    await turns()
    assert json.loads(wire.answers()[1][2])["id"] == "mine"


async def test_what_the_port_refuses_by_itself_is_counted() -> None:
    port = Port(LINEAR)
    infer = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: t\r\n"
    await port.send(
        infer + b"Content-Length: 99999999\r\n\r\n",
        infer + b"X: " + b"a" * 50_000 + b"\r\n\r\n",
        infer + b"Expect: miracles\r\n\r\n",
        b"\x16\x03\x01",
    )
    assert {reason: count for reason, count in port.counters.refusals.items() if count} == {
        "body_too_large": 1,
        "headers_too_large": 1,
        "expectation": 1,
        "malformed": 1,
    }
    assert port.outcomes == {"rejected": 3}


async def test_a_late_body_is_counted() -> None:
    port = Port(LINEAR)
    connection, wire = port.connect()
    connection.data_received(row(1, 0, 0, 0)[:-1])
    port.host.now += 100
    connection.sweep()
    assert [status for status, _, _ in wire.answers()] == [408]
    assert (port.counters.refusals["timeout"], port.outcomes) == (1, {"rejected": 1})
