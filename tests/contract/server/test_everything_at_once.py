"""Clients of every bad kind at once: memory stays within the budget, and every connection gets its answer."""

from __future__ import annotations

import concurrent.futures
import contextlib
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.contract.server import process, raw
from tests.contract.server.process import Server, Wire
from tests.contract.server.raw import post
from tests.unit.server import graphs

from seatrial_server.host import budget

MIB = 2**20
COLUMNS = 100_000
REFUSALS = {400, 408, 413, 429, 503, 504}
ALLOWANCE = 200 * MIB
"""Beside the budget: what the model's runs take, and what the allocator keeps."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(graphs.echo(1, columns=COLUMNS))
    with process.serving(path) as running:
        yield running


def peak(server: Server) -> int:
    """Bytes that the process has had at most."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def ask(server: Server, request: bytes) -> int:
    with Wire(server.port) as wire:
        wire.socket.settimeout(120)
        [(status, _, _)] = wire.send(request).responses(1)
        return status


def begun(wire: Wire) -> int:
    """The status of an answer of which the rest may be cut off: nobody has read it for as long as the others took."""
    with wire.socket.makefile("rb") as file:
        return int(file.readline().split()[1])


def image(rows: int, *, binary: bool) -> bytes:
    tensor = {"name": "x", "shape": [rows, COLUMNS], "datatype": "FP32"}
    if not binary:
        return post(json.dumps({"inputs": [tensor | {"data": [0.5] * (rows * COLUMNS)}]}).encode())
    content = np.full((rows, COLUMNS), 0.123456, np.float32).tobytes()
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(content)}}]}).encode()
    return post(head + content, b"Inference-Header-Content-Length: %d" % len(head))


def bomb(unit: bytes) -> bytes:
    start = b'{"inputs":[{"name":"x","shape":[1,%d],"datatype":"FP32","data":[' % COLUMNS
    return post(gzip.compress(start + unit * (60 * MIB // len(unit))), b"Content-Encoding: gzip")


def test_the_kinds_of_load_together_take_the_budget_and_no_more(server: Server) -> None:
    before = peak(server)
    bound = budget.of_process(max_body_bytes=64 * MIB).size + ALLOWANCE
    requests = [
        *(bomb(unit) for unit in (b"0,", b"[0],", b'"a",', b"{},", b" ")),
        *[image(1, binary=False)] * 12,
        *[image(16, binary=True)] * 4,
        raw.chunked(*[b"  "] * 50_000),
    ]
    slow = post(b" " * 63 * MIB)
    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(16) as pool:
        idle = [stack.enter_context(Wire(server.port)).send(slow[:-1]) for _ in range(2)]
        silent = [stack.enter_context(Wire(server.port)).send(image(16, binary=True)) for _ in range(4)]
        found = [pool.submit(ask, server, request) for request in requests]
        assert server.get("/v2/health/live")[0] == 200
        assert {one.result() for one in found} <= {200, *REFUSALS}
        for wire in silent:
            assert begun(wire) in {200, *REFUSALS}
        for wire in idle:
            assert wire.send(slow[-1:]).responses(1)[0][0] in REFUSALS
    assert peak(server) - before < bound
    assert ask(server, image(1, binary=True)) == 200
    assert server.metric("seatrial_in_flight_requests") == 0
