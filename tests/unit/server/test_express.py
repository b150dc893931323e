"""The short way of plain requests: nothing that a client can see may differ from the general way."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
from collections.abc import Sequence
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from tests.unit.server import graphs, test_telemetry

from seatrial_server.engine import batching, inference, validation
from seatrial_server.host import budget, config
from seatrial_server.model import bins, features, schema, session
from seatrial_server.observe import drift, telemetry
from seatrial_server.protocol import documents
from seatrial_server.protocol.http import decode, encode, listener
from seatrial_server.protocol.http.connection import Connection
from seatrial_server.protocol.http.v2 import V2

PLAN = batching.Plan(in_thread=False, batched=True, row_seconds=1e-6)
IDENTITY = documents.Identity(server_version="1", model="m", version="1")


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = False

    def write(self, data: Any) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """More is read all the same."""

    def resume_reading(self) -> None:
        """As above."""

    def is_closing(self) -> bool:
        return False

    def answers(self) -> list[tuple[int, dict[bytes, bytes], bytes]]:
        """Status, headers and body of each."""
        result, rest = [], self.written
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            lines = head.split(b"\r\n")
            headers = dict(line.split(b": ", 1) for line in lines[1:])
            length = int(headers[b"Content-Length"])
            result.append((int(lines[0].split()[1]), headers, rest[:length]))
            rest = rest[length:]
        return result


class Port:
    """The REST side of a server without a network; `short` opens the short way."""

    def __init__(
        self,
        graph: bytes,
        *columns: schema.Feature,
        short: bool = True,
        observer: drift.Drift | None = None,
        **limits: Any,
    ) -> None:
        model = session.load(graph)
        self.counters: telemetry.Telemetry = test_telemetry.counters()
        guards = validation.guards(model.schema, features.by_input(columns, model.schema))
        engine = inference.Engine(model, guards, observer=observer, most_rows=batching.MAX_ROWS)
        batcher = batching.Batcher(engine, PLAN, limits=config.Limits(**limits), counters=self.counters)
        self.batcher = batcher
        self.application = V2(
            about=documents.Documents(IDENTITY, model.schema, self.counters),
            decoder=decode.Decoder(model.schema, stacked=True),
            encoder=encode.Encoder(model.schema, name="m", version="1"),
            queue=batcher,
            counters=self.counters,
            max_body_bytes=1 << 20,
            timeout_seconds=2.0,
            account=budget.Budget(1 << 24),
            bundles=batcher if short else None,
        )
        self.host = listener.Listener(self.application, short_way=self.application.short_way)

    def connect(self) -> tuple[Connection, Wire]:
        connection, wire = Connection(self.host), Wire()
        connection.connection_made(wire)
        return connection, wire

    async def send(self, *requests: bytes) -> list[tuple[int, dict[bytes, bytes], bytes]]:
        """Each over a connection of its own, all in one turn of the loop."""
        clients = [self.connect() for _ in requests]
        for (connection, _), request in zip(clients, requests, strict=True):
            connection.data_received(request)
        await turns()
        return [answer for _, wire in clients for answer in wire.answers()]

    async def learn(self, *requests: bytes) -> Port:
        """Let it see requests (a head twice), so that their like is known."""
        for request in requests:
            await self.send(request)
            await self.send(request)
            self.host.heads.tick()
        self.counters.requests["rest"] = dict.fromkeys(telemetry.OUTCOMES, 0)
        self.counters.batch_rows = telemetry.Histogram(self.counters.batch_rows.edges)
        return self

    @property
    def runs(self) -> tuple[int, float]:
        """Calls of the model and their rows."""
        return sum(self.counters.batch_rows.counts), self.counters.batch_rows.total

    @property
    def outcomes(self) -> dict[str, int]:
        return {outcome: count for outcome, count in self.counters.requests["rest"].items() if count}


async def turns() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


def post(body: bytes, headers: bytes = b"") -> bytes:
    return b"POST /v2/models/m/infer HTTP/1.1\r\nHost: t\r\n%bContent-Length: %d\r\n\r\n%b" % (headers, len(body), body)


def numbers(text: str, *, columns: int = 4) -> bytes:
    """A request whose head has the same bytes for texts of one length."""
    body = f'{{"inputs":[{{"name":"x","shape":[1,{columns}],"datatype":"FP32","data":[{text}]}}]}}'
    return post(body.encode(errors="surrogateescape"))


def row(*values: float) -> bytes:
    return numbers(",".join(f"{value:.1f}" for value in values), columns=len(values))


def binary(values: Sequence[float]) -> bytes:
    content = np.array(values, np.float32).tobytes()
    tensor = {
        "name": "x",
        "shape": [1, len(values)],
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(content)},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return post(head + content, b"Inference-Header-Content-Length: %d\r\n" % len(head))


def first(answer: tuple[int, dict[bytes, bytes], bytes]) -> Any:
    """The first value of an answer, or its error's code."""
    status, headers, body = answer
    if status != 200:
        return json.loads(body)["code"]
    part = headers.get(b"Inference-Header-Content-Length")
    if part:
        return float(np.frombuffer(body[int(part) :], np.float32)[0])
    return json.loads(body)["outputs"][0]["data"][0]


async def test_plain_requests_of_a_turn_are_one_call_and_each_gets_its_own_answer() -> None:
    port = await Port(graphs.linear()).learn(row(1, 1, 1, 1))
    answers = await port.send(*(row(value, 0, 0, 0) for value in range(10)))
    assert [first(answer) for answer in answers] == list(range(10))
    assert port.runs == (1, 10)
    assert port.outcomes == {"ok": 10}
    assert port.counters.in_flight == 0


async def test_every_answer_has_an_id_of_its_own() -> None:
    port = await Port(graphs.linear()).learn(row(1, 1, 1, 1))
    answers = await port.send(*[row(1, 1, 1, 1)] * 40)
    assert len({json.loads(body)["id"] for _, _, body in answers}) == 40


async def test_a_full_bundle_does_not_wait_for_the_end_of_the_turn() -> None:
    port = await Port(graphs.linear()).learn(row(1, 1, 1, 1))
    clients = [port.connect() for _ in range(batching.MAX_ROWS)]
    for connection, _ in clients:
        connection.data_received(row(1, 1, 1, 1))
    assert all(wire.answers() for _, wire in clients)
    await turns()


async def test_json_and_binary_of_one_turn_are_told_apart() -> None:
    port = await Port(graphs.linear()).learn(row(1, 1, 1, 1), binary([1, 1, 1, 1]))
    answers = await port.send(row(1, 0, 0, 0), binary([2, 0, 0, 0]), row(3, 0, 0, 0), binary([4, 0, 0, 0]))
    assert [first(answer) for answer in answers] == [1, 2, 3, 4]
    assert port.runs == (2, 4)


TEXTS = st.lists(
    st.sampled_from(["1", "2.5", "-0", ",", ",", ",", " ", "[", "]", "{", "}", '"', "null", "1e999", "NaN", "\udcff"]),
    max_size=12,
).map("".join)


@pytest.mark.long
@hypothesis.given(texts=st.lists(TEXTS | st.just("1,2,3,4"), min_size=1, max_size=5))
@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
def test_whatever_stands_in_the_place_of_the_numbers_is_answered_as_the_general_way_would(texts: list[str]) -> None:
    requests = [numbers(text) for text in texts]

    async def outcome(*, short: bool) -> list[Any]:
        port = await Port(LINEAR, schema.Feature(name="a", range=(-5, 5)), *REST, short=short).learn(numbers("1,2,3,4"))
        answers = await port.send(*requests)
        assert port.counters.in_flight == 0
        assert len(answers) == len(requests)
        return [(status, forget_id(body)) for status, _, body in answers]

    assert asyncio.run(outcome(short=True)) == asyncio.run(outcome(short=False))


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
        taught = await Port(graph, timeout_seconds=60).learn(post(body), known)
        fresh = Port(graph, short=False, timeout_seconds=60)
        given, expected = await outcome(taught), await outcome(fresh)
        for answer in (*given[0], *expected[0]):
            if GENERATED.fullmatch(str(answer[2].get("id"))):  # the client's was not usable
                answer[2].pop("id")
        assert given == expected

    asyncio.run(both())


async def test_the_heads_of_a_gateway_are_known_though_no_two_are_equal() -> None:
    port = await Port(LINEAR).learn(gateway(1, 1))
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


LINEAR = graphs.linear()
REST = [schema.Feature(name=name) for name in "bcd"]


def forget_id(body: bytes) -> Any:
    document = json.loads(body)
    document.pop("id", None)
    return document


async def test_a_row_too_short_takes_no_number_from_a_row_too_long() -> None:
    texts = ["1.0,2.0,3.0", "4.0,5.0,6.0,7.0,8.0"]
    valid = ["1,2,3,4".ljust(len(text)) for text in texts]  # heads with these lengths, and what a good row gets
    port = await Port(LINEAR).learn(*map(numbers, valid))
    answers = await port.send(*map(numbers, [*texts, valid[0]]))
    assert [first(answer) for answer in answers] == ["InvalidInput", "InvalidInput", 10]


async def test_a_refused_row_says_which_and_hurts_no_neighbour() -> None:
    port = await Port(LINEAR, schema.Feature(name="a", range=(0, 5)), *REST).learn(row(1, 1, 1, 1))
    answers = await port.send(row(1, 0, 0, 0), row(9, 0, 0, 0), row(3, 0, 0, 0))
    assert [first(answer) for answer in answers] == [1, "OutOfRange", 3]
    document = json.loads(answers[1][2])
    assert (document["row"], document["feature"]) == (0, "a")
    assert port.outcomes == {"ok": 2, "rejected": 1}


async def test_a_repaired_row_is_marked_and_its_neighbours_are_not() -> None:
    clipped = schema.Feature(name="a", range=(0, 5), policy="clip")
    port = await Port(LINEAR, clipped, *REST).learn(row(1, 1, 1, 1))
    answers = await port.send(row(1, 0, 0, 0), row(9, 0, 0, 0), row(3, 0, 0, 0))
    assert [first(answer) for answer in answers] == [1, 5, 3]
    assert ["degraded" in json.loads(body).get("parameters", {}) for _, _, body in answers] == [False, True, False]
    assert port.outcomes == {"ok": 2, "degraded": 1}


async def test_rows_are_counted_once_for_drift_even_when_a_neighbour_is_repaired() -> None:
    one = bins.Bins(name="a", tensor=0, column=0, edges=(0.0, 9.0))
    observer = drift.Drift(
        bins.Profile(features=(one,), feature_shares=((0.0, 0.0, 1.0, 0.0),)),
        inputs=[np.dtype(np.float32)],
        outputs=[np.dtype(np.float32)],
        labels={},
    )
    clipped = schema.Feature(name="a", range=(0, 5), policy="clip")
    port = Port(LINEAR, clipped, *REST, observer=observer)
    for _ in range(2):
        await port.send(row(1, 0, 0, 0), row(9, 0, 0, 0), row(3, 0, 0, 0))
    counted = [line for line in observer.exposition().splitlines() if line.startswith("seatrial_feature_rows_total")]
    assert sum(int(line.rpartition(" ")[2]) for line in counted) == 6


async def test_an_answer_that_is_not_finite_fails_one_request_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    port = await Port(graphs.logarithm()).learn(numbers("1.0", columns=1))
    answers = await port.send(*(numbers(text, columns=1) for text in ("1.0", "0.0", "1.0")))
    assert [first(answer) for answer in answers] == [0, "NotFinite", 0]
    assert port.outcomes == {"ok": 2, "error": 1}


async def test_a_queue_smaller_than_the_bundle_still_bounds() -> None:
    port = await Port(LINEAR, max_queue_rows=4).learn(row(1, 1, 1, 1))
    answers = await port.send(*[row(1, 0, 0, 0)] * 10)
    assert sorted(status for status, _, _ in answers) == [200] * 4 + [429] * 6
    assert port.outcomes == {"ok": 4, "shed": 6}


async def test_a_model_that_is_late_is_everybodys_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    port = await Port(graphs.slow(2_500), timeout_seconds=0.001).learn(row(1, 1, 1, 1))
    answers = await port.send(row(1, 0, 0, 0), row(2, 0, 0, 0))
    refusals = [(status, json.loads(body)) for status, _, body in answers]
    assert [(status, document["code"]) for status, document in refusals] == [(504, "DeadlineExceeded")] * 2
    assert len({document["id"] for _, document in refusals}) == 2
    assert port.outcomes == {"error": 2}
    assert port.counters.in_flight == 0


async def test_a_defect_ends_the_connections_it_concerns_and_no_later_ones(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    port = await Port(LINEAR).learn(row(1, 1, 1, 1))
    clients = [port.connect() for _ in range(3)]
    with monkeypatch.context() as patch:
        patch.setattr(port.batcher, "run", lambda _: 1 / 0)
        for connection, _ in clients:
            connection.data_received(row(1, 0, 0, 0))
        await turns()
    assert all(wire.ended for _, wire in clients)
    assert [first(answer) for answer in await port.send(row(2, 0, 0, 0))] == [2]


async def test_more_on_the_connection_before_the_turn_is_over_is_answered_in_order() -> None:
    port = await Port(LINEAR).learn(row(1, 1, 1, 1))
    connection, wire = port.connect()
    for value in (1, 2, 3):
        connection.data_received(row(value, 0, 0, 0))
    connection.data_received(row(4, 0, 0, 0)[:50])
    connection.data_received(row(4, 0, 0, 0)[50:])
    await turns()
    assert [first(answer) for answer in wire.answers()] == [1, 2, 3, 4]


async def test_a_client_that_has_gone_is_written_nothing_and_hurts_nobody() -> None:
    port = await Port(LINEAR).learn(row(1, 1, 1, 1))
    (gone, gone_wire), (other, other_wire) = port.connect(), port.connect()
    gone.data_received(row(1, 0, 0, 0))
    other.data_received(row(2, 0, 0, 0))
    gone.connection_lost(None)
    await turns()
    assert (gone_wire.written, [first(answer) for answer in other_wire.answers()]) == (b"", [2])
    assert port.counters.in_flight == 0


async def test_a_client_that_has_gone_with_a_bad_row_hurts_nobody() -> None:
    port = await Port(LINEAR).learn(row(1, 1, 1, 1))
    gone, gone_wire = port.connect()
    gone.data_received(numbers("null,1,1.00,1.0"))
    gone.connection_lost(None)
    await turns()
    assert gone_wire.written == b""
    assert port.counters.in_flight == 0


async def test_a_client_that_closes_its_side_gets_its_answer_first() -> None:
    port = await Port(LINEAR).learn(row(1, 1, 1, 1))
    connection, wire = port.connect()
    connection.data_received(row(1, 0, 0, 0))
    connection.eof_received()
    assert [first(answer) for answer in wire.answers()] == [1]
    await turns()


async def test_a_port_that_drains_announces_the_end() -> None:
    port = await Port(LINEAR).learn(row(1, 1, 1, 1))
    connection, wire = port.connect()
    port.host.retire()
    connection.data_received(row(1, 0, 0, 0))
    await turns()
    [(status, headers, _)] = wire.answers()
    assert (status, headers[b"Connection"], wire.ended) == (200, b"close", True)


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


@pytest.mark.parametrize("again", [row(7, 0, 0, 0), row(7, 0, 0, 0)[:60]], ids=["whole", "in part"])
async def test_more_behind_a_bundle_that_the_queue_has_no_room_for_loses_no_answer(again: bytes) -> None:
    port = await Port(LINEAR, max_queue_rows=4).learn(row(1, 1, 1, 1))
    clients = [port.connect() for _ in range(10)]
    for connection, _ in clients:
        connection.data_received(row(1, 0, 0, 0))
    for connection, _ in clients:
        connection.data_received(again)
        if again != row(7, 0, 0, 0):
            connection.data_received(row(7, 0, 0, 0)[len(again) :])
    await turns()
    assert {len(wire.answers()) for _, wire in clients} == {2}
    assert port.counters.in_flight == 0


async def test_a_number_beyond_the_type_is_refused_without_a_warning_and_hurts_no_neighbour() -> None:
    port = await Port(LINEAR).learn(row(1, 1, 1, 1))
    answers = await port.send(row(1, 0, 0, 0), numbers("1e39,1,1.0,1.00"), row(3, 0, 0, 0))
    assert [first(answer) for answer in answers] == [1, "NotFinite", 3]


async def test_a_mark_that_is_guessed_wrong_moves_no_row() -> None:
    """The first row lacks a number and the second begins with one that could be taken for the end of the first."""
    texts = ["1.0,2.0,3.0", "9007199254740993,4.0,5.0,6.0,7.0"]
    valid = ["1,2,3,4".ljust(len(text)) for text in texts]
    port = await Port(LINEAR).learn(*map(numbers, valid))
    answers = await port.send(*map(numbers, texts))
    assert [first(answer) for answer in answers] == ["InvalidInput"] * 2
