"""Compressed bodies over REST: both codings, both directions, and bodies that are larger than they look."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from tests.contract.server.process import Server, Wire, row, tensor
from tests.contract.server.raw import post

LARGE = json.dumps({"inputs": [tensor([[1.0] * 4] * 200)]}).encode()


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_compressed_request_is_unpacked(server: Server, coding: str, pack: object) -> None:
    assert callable(pack)
    status, document = server.post("/v2/models/model/infer", pack(row()), **{"Content-Encoding": coding})
    assert (status, document["outputs"][0]["data"]) == (200, [4.0, -4.0])


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip;q=0.1, deflate;q=0.5", "deflate"),
        ("br, GZIP", "gzip"),
        ("gzip;q=0", ""),
        ("gzip;q=x", ""),
        ("identity", ""),
        ("*", ""),
    ],
)
def test_a_large_answer_is_compressed_as_the_client_likes(server: Server, accepted: str, coding: str) -> None:
    with Wire(server.port) as wire:
        wire.send(post(LARGE, f"Accept-Encoding: {accepted}".encode()))
        _, headers, body = wire.responses(1)[0]
    assert headers.get("content-encoding", "") == coding
    plain = zlib.decompress(body, 47) if coding else body
    assert len(json.loads(plain)["outputs"][0]["data"]) == 400


def test_a_small_answer_is_not_compressed(server: Server) -> None:
    with Wire(server.port) as wire:
        wire.send(post(row(), b"Accept-Encoding: gzip"))
        assert "content-encoding" not in wire.responses(1)[0][1]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (gzip.compress(bytes(100 * 1024 * 1024)), 413),
        (gzip.compress(row())[:-9], 400),
        (gzip.compress(row()) + b"more", 400),
        (b"no gzip at all", 400),
        (b"", 400),
    ],
    ids=["bomb", "truncated", "more than one part", "not gzip", "empty"],
)
def test_a_damaged_or_oversized_body_is_refused_and_the_connection_lives(
    server: Server, body: bytes, status: int
) -> None:
    with Wire(server.port) as wire:
        wire.send(post(body, b"Content-Encoding: gzip") + post(row()))
        (first, _, text), (second, _, _) = wire.responses(2)
    assert first in ({413, 503} if status == 413 else {status})  # a busy machine has no time for a bomb's last byte
    assert second == 200
    assert isinstance(json.loads(text)["error"], str)


def test_bombs_do_not_fill_the_memory(server: Server) -> None:
    before = memory(server)
    bomb = post(gzip.compress(bytes(100 * 1024 * 1024)), b"Content-Encoding: gzip")
    with Wire(server.port) as wire:
        wire.send(bomb * 10)
        assert {status for status, _, _ in wire.responses(10)} <= {413, 503}  # too large, or too long in the queue
    assert memory(server) - before < 200  # one body of the limit's size at a time, and what the allocator keeps


def memory(server: Server) -> int:
    """Resident MiB."""
    with open(f"/proc/{server.process.pid}/statm") as file:
        return int(file.read().split()[1]) * 4096 // 2**20
