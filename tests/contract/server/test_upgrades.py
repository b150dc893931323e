"""Offers to speak another protocol are declined by an ordinary answer: the body that comes with one is read."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from tests.contract.server import raw
from tests.contract.server.process import Server, Wire, row
from tests.contract.server.raw import post

OFFERS = {
    "h2c": (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQ"),
    "websocket": (b"Upgrade: websocket", b"Connection: keep-alive, Upgrade", b"Sec-WebSocket-Key: dGhlIHNhbXBsZQ=="),
    "several": (b"Upgrade: TLS/1.2, h2c", b"connection: upgrade"),
}
HEALTH = b"GET /v2/health/live HTTP/1.1\r\nHost: t\r\n"


def java(port: int, body: bytes) -> bytes:
    """What JDK 17's HttpClient sends for a POST, byte for byte."""
    head = (
        "POST /v2/models/model/infer HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        f"Content-Length: {len(body)}\r\nHost: 127.0.0.1:{port}\r\n"
        "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
        "Upgrade: h2c\r\nUser-Agent: Java-http-client/17.0.15\r\nContent-Type: application/json\r\n\r\n"
    )
    return head.encode() + body


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    with Wire(server.port) as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def values(wire: Wire, count: int) -> list[float]:
    return [json.loads(body)["outputs"][0]["data"][0] for _, _, body in wire.responses(count)]


def chunked(body: bytes, *offer: bytes) -> bytes:
    return raw.chunked(body[:7], body[7:], lines=offer)


def test_a_java_client_is_answered_on_one_connection_again_and_again(wire: Wire) -> None:
    for value in (1.0, 2.0, 1.0):
        wire.send(java(wire.socket.getpeername()[1], row(value)))
        assert values(wire, 1) == [4 * value]


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_a_body_that_comes_with_an_offer_is_read(wire: Wire, offer: tuple[bytes, ...]) -> None:
    wire.send(post(row(1.0), *offer) + chunked(row(2.0), *offer) + post(row(3.0)))
    assert values(wire, 3) == [4.0, 8.0, 12.0]


@pytest.mark.parametrize("shape", [post, chunked], ids=["length", "chunks"])
def test_an_offer_may_arrive_byte_by_byte(wire: Wire, shape: type[bytes]) -> None:
    for byte in shape(row(2.0), *OFFERS["h2c"]):
        wire.send(bytes([byte]))
    wire.send(post(row(3.0)))
    assert values(wire, 2) == [8.0, 12.0]


def test_offers_behind_one_another_are_all_declined_in_order(wire: Wire) -> None:
    offer = OFFERS["h2c"]
    wire.send(
        b"".join(post(row(float(value)), *offer) + HEALTH + b"\r\n".join(offer) + b"\r\n\r\n" for value in range(40))
    )
    answers = wire.responses(80)
    assert {status for status, _, _ in answers} == {200}
    assert [json.loads(body)["outputs"][0]["data"][0] for _, _, body in answers[::2]] == [4.0 * n for n in range(40)]


def test_a_client_that_offers_and_waits_to_be_told_to_continue_is_told(wire: Wire) -> None:
    head, _, body = post(row(), b"Expect: 100-continue", *OFFERS["h2c"]).partition(b"\r\n\r\n")
    wire.send(head + b"\r\n\r\n")
    assert wire.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.send(body)
    assert values(wire, 1) == [4.0]


def test_an_offer_in_a_trailer_is_none(wire: Wire) -> None:
    trailing = chunked(row(1.0))[:-2] + b"Upgrade: h2c\r\nConnection: upgrade\r\n\r\n"
    wire.send(trailing + post(row(2.0)))
    assert values(wire, 2) == [4.0, 8.0]


@pytest.mark.parametrize(
    ("headers", "status"),
    [((b"Transfer-Encoding: chunked",), 400), ((b"Content-Length: 3",), 400), ((b"Connection: close",), 200)],
    ids=["two framings", "two lengths", "close"],
)
def test_an_offer_opens_no_second_reading(wire: Wire, headers: tuple[bytes, ...], status: int) -> None:
    wire.send(post(row(), *OFFERS["h2c"], *headers) + HEALTH + b"\r\n")
    found = wire.rest()
    assert found.startswith(b"HTTP/1.1 %d " % status)
    assert found.count(b"HTTP/1.1 ") == 1


def test_connect_is_refused_as_the_last_answer(wire: Wire) -> None:
    wire.send(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n\x16\x03\x01\x02\x00")
    found = wire.rest()
    assert found.startswith(b"HTTP/1.1 404 ")
    assert found.count(b"HTTP/1.1 ") == 1
