"""Heads like earlier ones, from clients and gateways: nothing that a client can see may differ for them."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from tests.unit.server import graphs
from tests.unit.server.port import Port, first, post, turns

LINEAR = graphs.linear()

NAMES = st.sampled_from(
    [
        *(b"X-Request-Id", b"traceparent", b"x-forwarded-for", b"X-Forwarded-For", b"x-envoy-attempt-count", b"a"),
        *(b"user-agent", b"accept", b"Content-Type", b"accept-encoding", b"Content-Encoding", b"Connection"),
        *(b"proxy-connection", b"upgrade", b"Transfer-Encoding", b"expect", b"Inference-Header-Content-Length"),
        *(b"host", b"content-length", b"cookie", b"authorization"),
    ]
)
VALUES = st.one_of(
    st.sampled_from(
        [
            *(
                b"",
                b" ",
                b" a",
                b"a",
                b" \tb \t",
                b" gzip",
                b" identity",
                b" close",
                b" keep-alive",
                b" Upgrade",
                b" h2c",
            ),
            *(b" chunked", b" 100-continue", b" 0", b" 40", b" t", b' "q"', b" back\\slash", b" \xff\xfe", b" a, b"),
            *(b" a\x00b", b" a\x7fb", b" a\rb", b" a\nb", b" a\r\n b", b" a\x0bb", b" " + b"v" * 300, b" a: b"),
        ]
    ),
    st.uuids().map(lambda value: b" " + str(value).encode()),
)
GENERATED = re.compile("[0-9a-f]{8}-[0-9a-f]{10}")
LINES = st.lists(st.tuples(NAMES, VALUES, VALUES), max_size=8)


@pytest.mark.long
@hypothesis.given(lines=LINES, columns=st.sampled_from([4, 80]))
@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
def test_any_head_behind_a_like_one_is_answered_as_if_it_were_the_first(
    lines: list[tuple[bytes, bytes, bytes]], columns: int
) -> None:
    body = b'{"inputs":[{"name":"x","shape":[1,%d],"datatype":"FP32","data":[1%b]}]}' % (columns, b",1" * (columns - 1))
    known, asked = (post(body, b"".join(b"%b:%b\r\n" % (line[0], line[which]) for line in lines)) for which in (1, 2))

    async def outcome(port: Port) -> tuple[list[Any], bool]:
        connection, wire = port.connect()
        for _ in range(3):  # from the second on, the head is known to the byte
            connection.data_received(asked)
            await turns()
        assert port.counters.in_flight == 0
        answers = []
        for status, headers, content in wire.answers():
            unpacked = gzip.decompress(content) if headers.get(b"Content-Encoding") == b"gzip" else content
            document = json.loads(unpacked)
            if b"x-request-id" not in asked.lower():
                document.pop("id", None)
            headers.pop(b"Date", None)
            headers.pop(b"Content-Length")  # ids differ in length
            answers.append((status, headers, document))
        return answers, wire.ended

    async def both() -> None:
        graph = graphs.echo(1, columns=columns)
        taught = await Port(graph).learn(post(body), known)
        fresh = Port(graph, short=False)
        given, expected = await outcome(taught), await outcome(fresh)
        for answer in (*given[0], *expected[0]):
            if GENERATED.fullmatch(str(answer[2].get("id"))):  # the client's was not usable
                answer[2].pop("id")
        assert given == expected

    asyncio.run(both())


async def test_the_heads_of_a_gateway_are_known_though_no_two_are_equal() -> None:
    port = await Port(LINEAR).learn(gateway(1, 1))
    assert port.host.heads.find(gateway(99, 99)) is not None
    answers = await port.send(*(gateway(value, value) for value in range(2, 12)))
    assert [first(answer) for answer in answers] == list(range(2, 12))
    assert [json.loads(body)["id"] for _, _, body in answers] == [f"{value:036d}" for value in range(2, 12)]
    assert port.runs == (1, 10)


async def test_a_request_of_a_gateway_that_fails_is_logged_with_its_own_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = Port(graphs.logarithm())
    await port.learn(gateway(1, 1, columns=1))
    await port.send(gateway(0, 7, columns=1))
    assert [record.fields["trace_id"] for record in caplog.records if hasattr(record, "fields")][-1] == f"{7:032x}"


def gateway(value: int, number: int, *, columns: int = 4) -> bytes:
    """A request as an Envoy gateway hands it on: with an id, a trace and an address of its own."""
    values = ",".join(map(str, [value, *[0] * (columns - 1)]))
    body = f'{{"inputs":[{{"name":"x","shape":[1,{columns}],"datatype":"FP32","data":[{values}]}}]}}'
    return post(
        body.encode(),
        b"user-agent: python-requests/2.32\r\nx-forwarded-for: 10.0.%d.%d\r\nx-forwarded-proto: http\r\n"
        b"x-request-id: %036d\r\ntraceparent: 00-%032x-%016x-01\r\n"
        % (number // 256, number % 256, number, number, number),
    )


@pytest.mark.parametrize(
    ("columns", "headers", "plain"),
    [
        (4, b"", True),
        (4, b"Accept-Encoding: gzip\r\n", True),
        (80, b"Accept-Encoding: identity\r\n", True),
        (80, b"Accept-Encoding: gzip\r\n", False),
        (4, b"X-Request-Id: a\r\n", True),
        (4, b"Content-Encoding: identity\r\n", False),
    ],
)
async def test_heads_with_a_wish_take_the_general_way(columns: int, headers: bytes, plain: bool) -> None:
    body = f'{{"inputs":[{{"name":"x","shape":[1,{columns}],"datatype":"FP32","data":[1{",1" * (columns - 1)}]}}]}}'
    request = post(body.encode(), headers)
    port = await Port(graphs.echo(1, columns=columns)).learn(request)
    found = port.host.heads.find(request)
    assert found is not None
    assert (found[0].json_part == 0) is plain
