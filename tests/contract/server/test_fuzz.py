"""Hostile bytes and hostile JSON: a declared answer or a closed connection; never a traceback, never a hang."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from tests.contract.server import process
from tests.contract.server.process import Server, Wire, post, row, tensor
from tests.unit.server import graphs

FEW = hypothesis.settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
DECLARED = {200, 400, 404, 405, 408, 411, 413, 414, 415, 417, 431, 501}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(graphs.linear())
    with process.serving(path) as running:
        yield running
        assert running.infer(tensor([[1] * 4]))[0] == 200
        running.terminate()
        assert running.process.wait(15) == 0


def talk(server: Server, data: bytes) -> bytes:
    with Wire(server.port) as wire:
        wire.send(data)
        try:
            wire.socket.shutdown(1)
        except OSError:  # already ended by the server
            return wire.rest()
        return wire.rest()


def check(answer: bytes) -> None:
    assert b"Traceback" not in answer
    assert {int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)} <= DECLARED | {100}


PIECES = st.sampled_from(
    [
        *(
            b"GET ",
            b"POST ",
            b"/v2/models/model/infer",
            b" HTTP/1.1\r\n",
            b" HTTP/1.0\r\n",
            b"Host: t\r\n",
            b"\r\n",
            b"\n",
        ),
        *(b"Content-Length: ", b"0", b"5", b"-1", b"Transfer-Encoding: chunked\r\n", b"5\r\nabcde\r\n", b"0\r\n\r\n"),
        *(b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Inference-Header-Content-Length: ", b"\x00", b": "),
        row(),
    ]
)


@FEW
@hypothesis.given(st.lists(PIECES | st.binary(max_size=20), max_size=30).map(b"".join))
def test_any_bytes_get_a_declared_answer_or_none(server: Server, data: bytes) -> None:
    check(talk(server, data))


@FEW
@hypothesis.given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 200))
def test_a_damaged_request_gets_a_declared_answer_or_none(
    server: Server, noise: bytes, start: int, length: int
) -> None:
    data = post(row())
    check(talk(server, data[:start] + noise + data[start + length :]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@FEW
@hypothesis.given(
    where=st.sampled_from(
        ["inputs", "outputs", "parameters", "id", "name", "shape", "datatype", "data", "tensor parameters"]
    ),
    value=JSON,
)
def test_any_json_in_any_place_gets_a_declared_answer(server: Server, where: str, value: Any) -> None:
    document: dict[str, Any] = {"inputs": [tensor([[1.0] * 4])], "id": "1"}
    if where in ("inputs", "outputs", "parameters", "id"):
        document[where] = value
    else:
        document["inputs"][0][where.removeprefix("tensor ")] = value
    status, answer = server.post("/v2/models/model/infer", document)
    assert status in (200, 400, 413)
    assert "Traceback" not in json.dumps(answer)
    assert status == 200 or isinstance(answer["error"], str)


@FEW
@hypothesis.given(body=st.binary(max_size=100), header=st.integers(-5, 120) | st.text("0123456789abc", max_size=5))
def test_any_binary_body_gets_a_declared_answer(server: Server, body: bytes, header: int | str) -> None:
    status, _ = server.post("/v2/models/model/infer", body, **{"Inference-Header-Content-Length": str(header)})
    assert status in (200, 400, 413)
