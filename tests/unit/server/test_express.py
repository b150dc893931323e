"""The short way of plain requests: nothing that a client can see may differ from the general way."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from tests.unit.server import graphs
from tests.unit.server.port import PATIENCE, Port, binary, first, numbers, row, turns

from seatrial_server.engine import batching, jobs
from seatrial_server.model import bins, schema
from seatrial_server.observe import drift

LINEAR = graphs.linear()
REST = [schema.Feature(name=name) for name in "bcd"]


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


def slowed(port: Port, patch: pytest.MonkeyPatch, *, seconds: float) -> None:
    """From now on a run of the model takes so long, by the clock of whoever calls it."""
    spent, engine = [0.0], port.batcher._engine
    execute = engine.execute

    def slowly(batch: Sequence[jobs.Job]) -> list[Any]:
        spent[0] += seconds
        return execute(batch)

    clock = SimpleNamespace(perf_counter=lambda: time.perf_counter() + spent[0], thread_time=time.thread_time)
    patch.setattr(engine, "execute", slowly)
    patch.setattr(batching, "time", clock)


async def test_a_model_that_is_late_is_everybodys_error(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.CRITICAL)
    port = await Port(LINEAR).learn(row(1, 1, 1, 1))
    slowed(port, monkeypatch, seconds=PATIENCE + 1)
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
