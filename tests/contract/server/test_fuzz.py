"""Hostile bytes, JSON, tensors and messages: a declared answer or a closed connection; no traceback, hang or mix-up.

SEATRIAL_FUZZ sets the examples of each test; without it the suite takes the same few every time.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import hypothesis
import pytest
from hypothesis import strategies as st
from tests.contract.server import prepared, process, raw, test_conformance
from tests.contract.server.process import Server, Wire, row, tensor
from tests.contract.server.raw import post
from tests.unit.server import graphs

from seatrial_server.protocol.rpc import messages

EXAMPLES = os.environ.get("SEATRIAL_FUZZ")
FEW = hypothesis.settings(
    max_examples=int(EXAMPLES or 60),
    deadline=None,
    derandomize=EXAMPLES is None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
DECLARED = {200, 400, 404, 405, 408, 409, 411, 413, 414, 415, 417, 429, 431, 501}
"""501 is the answer to an unknown Transfer-Encoding, as HTTP wants it; no other 5xx may come from input."""
MANY_SECONDS = pytest.mark.timeout(300 if EXAMPLES is None else 3600)
pytestmark = MANY_SECONDS


@contextlib.contextmanager
def unharmed(folder: Path, graph: bytes) -> Iterator[Server]:
    """A server that must answer, stop in order and have logged no traceback at the end."""
    with process.serving(*prepared.pod(folder, graph)) as running:
        yield running
        assert running.get("/v2/health/ready")[0] == 200
        assert running.metric("seatrial_in_flight_requests") == 0
        running.terminate()
        assert running.process.wait(process.DEADLINE) == 0
        assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with unharmed(tmp_path_factory.mktemp("linear"), graphs.linear()) as running:
        yield running
        assert running.infer(tensor([[1] * 4]))[0] == 200


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A model with inputs of three datatypes."""
    with unharmed(tmp_path_factory.mktemp("several"), test_conformance.several()) as running:
        yield running


def talk(port: int, data: bytes) -> bytes:
    with Wire(port) as wire:
        wire.send(data)
        with contextlib.suppress(OSError):  # already ended by the server
            wire.socket.shutdown(socket.SHUT_WR)
        return wire.rest()


def check(answer: bytes) -> None:
    assert b"Traceback" not in answer
    assert {int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)} <= DECLARED | {100}


PIECES = st.sampled_from(
    [
        *(b"GET ", b"POST ", b"HEAD ", b"/v2/models/model/infer", b"/v2/health/live"),
        *(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"Host: t\r\n", b"\r\n", b"\n", b"\r"),
        *(b"Content-Length: ", b"0", b"5", b"-1", b"Transfer-Encoding: chunked\r\n", b"5\r\nabcde\r\n", b"0\r\n\r\n"),
        *(b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Inference-Header-Content-Length: ", b"\x00", b": "),
        *(b"Content-Encoding: gzip\r\n", b"Accept-Encoding: deflate\r\n", b"Upgrade: h2c\r\nConnection: upgrade\r\n"),
        *(row(), post(row()), post(row())[:60], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ]
)


@FEW
@hypothesis.given(st.lists(PIECES | st.binary(max_size=20), max_size=30).map(b"".join))
def test_any_bytes_get_a_declared_answer_or_none(server: Server, data: bytes) -> None:
    check(talk(server.port, data))


@FEW
@hypothesis.given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 200))
def test_a_damaged_request_gets_a_declared_answer_or_none(
    server: Server, noise: bytes, start: int, length: int
) -> None:
    data = post(row())
    check(talk(server.port, data[:start] + noise + data[start + length :]))


def _chunked(body: bytes, size: int) -> bytes:
    return raw.chunked(*raw.pieces(body, size))


# Each is a request and, where the answer has to be this one and no other, the id that it must carry.
VALID = st.integers(0, 10**6).map(lambda number: (post(row(id=str(number))), str(number)))
EXCHANGES = st.one_of(
    VALID,
    VALID,
    st.integers(1, 99).map(lambda size: (_chunked(row(id=f"chunk {size}"), size), f"chunk {size}")),
    st.integers(0, 99).map(
        lambda number: (post(gzip.compress(row(id=f"zip {number}")), b"Content-Encoding: gzip"), f"zip {number}")
    ),
    st.binary(max_size=80).map(lambda body: (post(body), None)),
    st.binary(max_size=80).map(lambda body: (post(body, b"Content-Encoding: deflate"), None)),
    st.binary(max_size=80).map(lambda body: (post(body, b"Inference-Header-Content-Length: 5"), None)),
    st.binary(max_size=30).map(lambda body: (post(body + b"\r\n\r\n" + post(row(id="smuggled"))), None)),
    st.text("abcXYZ0/%.-_", max_size=30).map(
        lambda path: (b"GET /%s HTTP/1.1\r\nHost: t\r\n\r\n" % path.encode(), None)
    ),
)


@FEW
@hypothesis.given(exchanges=st.lists(EXCHANGES, min_size=1, max_size=20), cuts=st.lists(st.floats(0, 1), max_size=6))
def test_a_pipeline_stays_in_step(server: Server, exchanges: list[tuple[bytes, str | None]], cuts: list[float]) -> None:
    """As many answers as requests, each to its own request, however the bytes are cut into packets."""
    data = b"".join(request for request, _ in exchanges)
    places = sorted(int(cut * len(data)) for cut in cuts)
    with Wire(server.port) as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in zip([0, *places], [*places, len(data)], strict=True):
            wire.send(data[start:end])
        for (status, _, body), (_, wanted) in zip(wire.responses(len(exchanges)), exchanges, strict=True):
            assert status in DECLARED
            answer = json.loads(body)
            assert "smuggled" not in body.decode()
            if wanted is None:
                assert status == 200 or isinstance(answer["error"], str)
            else:
                assert (status, answer["id"]) == (200, wanted)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([2**63, -(2**63) - 1, 10**400, 1e308, "x", "FP32", "BYTES", [[[]]], {"binary_data_size": 4}])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
PLACES = ["inputs", "outputs", "parameters", "id", "name", "shape", "datatype", "data", "tensor parameters"]


def inferred(server: Server, document: Any, **headers: str) -> None:
    """Whatever the document holds, the answer is a declared one."""
    status, answer = server.post("/v2/models/model/infer", document, **headers)
    assert status in (200, 400, 413)
    if not isinstance(answer, bytes):
        assert "Traceback" not in json.dumps(answer)
        assert status == 200 or isinstance(answer["error"], str)


@FEW
@hypothesis.given(where=st.sampled_from(PLACES), value=JSON)
def test_any_json_in_any_place_gets_a_declared_answer(server: Server, where: str, value: Any) -> None:
    document: dict[str, Any] = {"inputs": [tensor([[1.0] * 4])], "id": "1"}
    if where in ("inputs", "outputs", "parameters", "id"):
        document[where] = value
    else:
        document["inputs"][0][where.removeprefix("tensor ")] = value
    inferred(server, document)


NAMES = st.sampled_from(["a", "b", "c", "scaled", "text", ""]) | st.text(max_size=4)
SHAPES = st.lists(st.integers(-1, 4) | st.sampled_from([2**31, 2**63]), max_size=4) | JSON
TENSORS = st.fixed_dictionaries(
    {"name": NAMES, "datatype": st.sampled_from(["FP32", "INT64", "BYTES", "BOOL", "FP16"]), "shape": SHAPES},
    optional={
        "data": st.lists(st.integers(-(2**64), 2**64) | st.floats(allow_nan=False) | st.text(max_size=4), max_size=8)
        | JSON,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 50) | JSON}) | JSON,
    },
)
WANTED = st.lists(
    st.fixed_dictionaries({"name": NAMES}, optional={"parameters": st.fixed_dictionaries({"binary_data": JSON})}),
    max_size=5,
)
REQUESTS = st.fixed_dictionaries(
    {"inputs": st.lists(TENSORS, max_size=5)},
    optional={"outputs": WANTED, "id": JSON, "parameters": st.dictionaries(st.just("timeout") | NAMES, JSON)},
)


@FEW
@hypothesis.given(document=REQUESTS, tail=st.binary(max_size=60), binary=st.booleans())
def test_any_structure_of_tensors_gets_a_declared_answer(
    several: Server, document: Any, tail: bytes, binary: bool
) -> None:
    content = json.dumps(document).encode()
    if binary:
        inferred(several, content + tail, **{"Inference-Header-Content-Length": str(len(content))})
    else:
        inferred(several, content)


@FEW
@hypothesis.given(body=st.binary(max_size=100), header=st.integers(-5, 120) | st.text("0123456789abc", max_size=5))
def test_any_binary_body_gets_a_declared_answer(server: Server, body: bytes, header: int | str) -> None:
    inferred(server, body, **{"Inference-Header-Content-Length": str(header)})


@FEW
@hypothesis.given(coding=st.sampled_from(["gzip", "deflate"]), noise=st.binary(max_size=20), place=st.integers(0, 80))
def test_any_damage_to_a_compressed_body_gets_a_declared_answer(
    server: Server, coding: str, noise: bytes, place: int
) -> None:
    packed = gzip.compress(row(), mtime=0) if coding == "gzip" else zlib.compress(row())
    inferred(server, packed[:place] + noise + packed[place:], **{"Content-Encoding": coding})


@pytest.mark.parametrize("where", ["inputs", "data", "parameters", "nowhere"])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deeply_nested_json_is_refused(server: Server, where: str, opening: str) -> None:
    deep = opening * 200_000
    bodies = {
        "inputs": '{"inputs": ' + deep,
        "data": '{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": ' + deep,
        "parameters": '{"parameters": {"a": ' + deep,
        "nowhere": '{"unknown": ' + deep,
    }
    assert server.post("/v2/models/model/infer", bodies[where].encode())[0] == 400


# gRPC

KNOWN = messages.Messages()
ANSWERS = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"}


@pytest.fixture(scope="module")
def channel(several: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(several.grpc) as opened:
        yield opened


def called(channel: grpc.Channel, name: str, message: bytes) -> None:
    outcome = channel.unary_unary(f"/{messages.SERVICE}/{name}").future(message, timeout=process.DEADLINE)
    assert outcome.code().name in ANSWERS, outcome.details()
    assert "Traceback" not in outcome.details()


@FEW
@hypothesis.given(name=st.sampled_from(sorted(KNOWN.request)), message=st.binary(max_size=60))
def test_any_message_gets_a_declared_status(channel: grpc.Channel, name: str, message: bytes) -> None:
    called(channel, name, message)


CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "fp32_contents": st.lists(st.floats(width=32), max_size=6),
        "int64_contents": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
        "bytes_contents": st.lists(st.binary(max_size=6), max_size=3),
    },
)
RPC_TENSORS = st.fixed_dictionaries(
    {
        "name": NAMES,
        "datatype": st.sampled_from(["FP32", "INT64", "BYTES", "FP16", ""]),
        "shape": st.lists(st.integers(-1, 4) | st.sampled_from([2**31, 2**63 - 1]), max_size=4),
    },
    optional={"contents": CONTENTS},
)
RPC_REQUESTS = st.fixed_dictionaries(
    {"model_name": st.sampled_from(["model", "model", "model", "other"]), "inputs": st.lists(RPC_TENSORS, max_size=4)},
    optional={
        "raw_input_contents": st.lists(st.binary(max_size=30), max_size=4),
        "outputs": st.lists(st.fixed_dictionaries({"name": NAMES}), max_size=4),
        "id": st.text(max_size=5),
    },
)


@FEW
@hypothesis.given(fields=RPC_REQUESTS)
def test_any_structure_of_messages_gets_a_declared_status(channel: grpc.Channel, fields: dict[str, Any]) -> None:
    called(channel, "ModelInfer", KNOWN.request["ModelInfer"](**fields).SerializeToString())


@FEW
@hypothesis.given(data=st.binary(max_size=100), preface=st.booleans())
def test_any_bytes_on_the_grpc_port_leave_it_working(several: Server, data: bytes, preface: bool) -> None:
    start = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" if preface else b""
    talk(int(several.grpc.rpartition(":")[2]), start + data)
