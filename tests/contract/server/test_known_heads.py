"""A head that was seen before takes a short way through the parser: nothing that a client can see may differ."""

from __future__ import annotations

import json
from pathlib import Path

from tests.contract.server import prepared, process, raw
from tests.contract.server.process import Server, Wire, row
from tests.contract.server.raw import post


def first_value(body: bytes) -> float:
    return float(json.loads(body)["outputs"][0]["data"][0])


def test_each_body_gets_its_own_answer_on_one_connection(server: Server) -> None:
    with Wire(server.port) as wire:
        for value in (1.0, 2.0, 3.0, 1.0):
            [(status, _, body)] = wire.send(post(row(value))).responses(1)
            assert (status, first_value(body)) == (200, 4 * value)


def test_the_headers_of_the_head_still_count(server: Server) -> None:
    for number in ("a", "b", "a"):
        with Wire(server.port) as wire:
            [(_, _, body)] = wire.send(post(row(), b"X-Request-Id: %s" % number.encode())).responses(1)
            assert json.loads(body)["id"] == number


def test_a_body_in_pieces_behind_a_known_head_is_put_together(server: Server) -> None:
    whole = post(row(5.0))
    with Wire(server.port) as wire:
        wire.send(whole).responses(1)
        for cut in (1, 40, len(whole) - 1):
            wire.send(whole[:cut])
            assert server.get("/v2/health/live")[0] == 200  # the piece has been read by now, by itself
            [(status, _, body)] = wire.send(whole[cut:]).responses(1)
            assert (status, first_value(body)) == (200, 20.0)


def test_requests_pipelined_behind_a_known_head_are_answered_in_order(server: Server) -> None:
    with Wire(server.port) as wire:
        wire.send(post(row(1.0))).responses(1)
        answers = wire.send(b"".join(post(row(value)) for value in (1.0, 2.0, 3.0))).responses(3)
        assert [first_value(body) for _, _, body in answers] == [4.0, 8.0, 12.0]


def test_a_bad_body_behind_a_known_head_leaves_the_connection_usable(server: Server) -> None:
    good = post(row(1.0))
    head, _, body = good.partition(b"\r\n\r\n")
    with Wire(server.port) as wire:
        wire.send(good).responses(1)
        [(status, _, _)] = wire.send(head + b"\r\n\r\n" + b"x" * len(body)).responses(1)
        assert status == 400
        [(status, _, _)] = wire.send(good).responses(1)
        assert status == 200


def test_a_head_that_asks_to_close_closes_every_time(server: Server) -> None:
    for _ in range(3):
        with Wire(server.port) as wire:
            answer = wire.send(post(row(), b"Connection: close")).rest()
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"Connection: close" in answer


def test_a_known_head_with_a_larger_body_or_header_is_refused_all_the_same(tmp_path: Path) -> None:
    with process.serving(*prepared.pod(tmp_path, limits={"maxBodyBytes": 1000})) as server:
        for length, value, status in (
            *[(0, b"x", 200)] * 3,
            (2000, b"x", 413),
            (0, b"x" * 100_000, 431),
        ):
            with process.Wire(server.port) as wire:
                body = bytes(length) or process.row()
                [(found, _, _)] = wire.send(raw.post(body, b"X-Trace: " + value)).responses(1)
            assert found == status
