"""The queue in front of the model: what runs together, what is shed, who is told in time."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.unit.server import graphs, port, prepared, test_telemetry

from seatrial_server.engine import batching, inference, jobs, validation, warmup
from seatrial_server.host import config, errors
from seatrial_server.model import session
from seatrial_server.observe import telemetry

INLINE = batching.Plan(in_thread=False, batched=True, row_seconds=0.0001)
THREAD = batching.Plan(in_thread=True, batched=True, row_seconds=0.01)


class Client:
    """Makes jobs for a four-column graph and keeps their results."""

    def __init__(self, graph: bytes, plan: batching.Plan, **limits: Any) -> None:
        model = session.load(graph)
        self.engine = inference.Engine(model, validation.guards(model.schema, {}))
        self.counters: telemetry.Telemetry = test_telemetry.counters()
        patient = config.Limits(**{"timeout_seconds": port.PATIENCE, **limits})
        self.batcher = batching.Batcher(self.engine, plan, limits=patient, counters=self.counters)
        self.results: list[Any] = []
        self._answered = asyncio.Event()

    def send(self, rows: int = 1, *, timeout: float = 0.0) -> None:
        self.batcher.submit(self.job([[1.0] * 4 * rows], shape=(rows, 4), timeout=timeout))

    def job(self, values: list[Any], *, shape: tuple[int, ...], timeout: float = 0.0) -> jobs.Job:
        return jobs.Job(
            id=str(len(self.results)),
            values=values,
            shapes=[shape],
            rows=shape[0],
            reply=None,
            started=time.perf_counter(),
            timeout=timeout,
            done=self._done,
        )

    async def all(self, count: int) -> list[Any]:
        async with asyncio.timeout(port.PATIENCE):
            while len(self.results) < count:
                self._answered.clear()
                await self._answered.wait()
        return self.results

    def _done(self, _: jobs.Job, result: jobs.Outputs | errors.RequestError) -> None:
        self.results.append(result)
        self._answered.set()


async def test_what_arrives_in_one_turn_runs_together() -> None:
    client = Client(graphs.linear(), INLINE)
    for _ in range(5):
        client.send()
    await client.all(5)
    assert (sum(client.counters.batch_rows.counts), client.counters.batch_rows.total) == (1, 5)


async def test_a_full_batch_does_not_wait_for_the_end_of_the_turn() -> None:
    client = Client(graphs.linear(), INLINE, max_queue_rows=64)
    for _ in range(200):
        client.send()
    assert len(client.results) >= 192
    await client.all(200)


async def test_the_queue_is_bounded_in_rows() -> None:
    client = Client(graphs.slow(50_000), THREAD, max_queue_rows=4)
    client.send(rows=3)
    with pytest.raises(errors.RequestError) as caught:
        client.send(rows=2)
    assert (caught.value.status, caught.value.outcome) == (429, "shed")
    assert caught.value.headers.startswith(b"Retry-After: ")
    await client.all(1)


async def test_a_request_that_can_never_fit_is_refused_for_good() -> None:
    with pytest.raises(errors.RequestError) as caught:
        Client(graphs.linear(), INLINE, max_queue_rows=4).send(rows=5)
    assert (caught.value.status, caught.value.outcome) == (413, "rejected")


@contextlib.contextmanager
def hanging(client: Client, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """No run of the model ends before the block does."""
    over, execute = threading.Event(), client.engine.execute

    def held(batch: Sequence[jobs.Job]) -> list[inference.Result]:
        over.wait()
        return execute(batch)

    patch.setattr(client.engine, "execute", held)
    try:
        yield
    finally:
        over.set()


async def test_a_model_that_takes_too_long_is_an_error_and_its_queue_is_shed_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client(graphs.linear(), THREAD, timeout_seconds=0.5)
    with hanging(client, monkeypatch):
        client.send(rows=batching.MAX_ROWS)
        await asyncio.sleep(0)
        client.send()
        running, queued = await client.all(2)
    assert (running.status, running.outcome) == (504, "error")
    assert (queued.status, queued.outcome) == (503, "shed")


async def test_a_request_may_shorten_its_own_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(graphs.linear(), THREAD)
    with hanging(client, monkeypatch):
        client.send(rows=batching.MAX_ROWS)
        await asyncio.sleep(0)
        client.send(timeout=0.02)
        [hasty] = await client.all(1)
    assert (hasty.status, hasty.outcome) == (503, "shed")


async def test_a_request_may_not_lengthen_its_own_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(graphs.linear(), THREAD, timeout_seconds=0.5)
    with hanging(client, monkeypatch):
        client.send(rows=batching.MAX_ROWS, timeout=port.PATIENCE)
        assert [result.status for result in await client.all(1)] == [504]


async def test_what_cannot_be_answered_in_time_is_shed_before_it_waits() -> None:
    plan = batching.Plan(in_thread=True, batched=True, row_seconds=0.5)
    client = Client(graphs.linear(), plan, timeout_seconds=1)
    client.send(rows=3)
    with pytest.raises(errors.RequestError) as caught:
        client.send()
    assert (caught.value.status, caught.value.headers) == (429, b"Retry-After: 2\r\n")
    await client.all(1)


@pytest.mark.parametrize(
    ("graph", "in_thread", "batched"),
    [
        (graphs.linear(), False, True),
        (graphs.slow(5000), True, True),
        (graphs.mean_removed(), False, False),
        (graphs.echo(8), False, True),
    ],
    ids=["quick", "slow", "rows that depend on each other", "strings"],
)
def test_the_plan_is_chosen_by_measurement(graph: bytes, in_thread: bool, batched: bool) -> None:
    plan = warmup.plan(prepared.loaded(graph))
    assert (plan.in_thread, plan.batched) == (in_thread, batched)


def squares() -> bytes:
    """x [N, M] -> y [N, 1] by a product of M x M: quick for few columns, slow for many."""
    return graphs.model(
        [
            helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]),
            helper.make_node("MatMul", ["t", "x"], ["z"]),
            helper.make_node("MatMul", ["z", "z"], ["zz"]),
            helper.make_node("ReduceMean", ["zz"], ["y"], keepdims=1),
        ],
        inputs={"x": (TensorProto.FLOAT, ["N", "M"])},
        outputs={"y": (TensorProto.FLOAT, [1, 1])},
    ).SerializeToString()


def wide(columns: int, client: Client) -> jobs.Job:
    return client.job([np.zeros(columns, np.float32)], shape=(1, columns))


async def test_a_model_that_blocks_the_loop_with_what_clients_send_moves_to_a_thread() -> None:
    client = Client(squares(), batching.Plan(in_thread=False, batched=False, row_seconds=1e-4))
    for number in range(1, 6):
        assert client.batcher.inline is (number < 5)
        client.batcher.submit(wide(900, client))
        await client.all(number)
    assert client.counters.plan["execution"] == "thread"
    with pytest.raises(errors.RequestError, match="matter of its own"):
        client.batcher.run(wide(2, client))
    client.batcher.submit(wide(2, client))
    assert len(await client.all(6)) == 6
    client.batcher.close()


async def test_quick_calls_stay_on_the_loop() -> None:
    client = Client(squares(), batching.Plan(in_thread=False, batched=False, row_seconds=1e-4))
    for number in range(1, 300):
        client.batcher.submit(wide(2, client))
        await client.all(number)
    assert client.batcher.inline


def test_the_warm_up_measures_rows_of_the_size_that_is_served() -> None:
    model = session.load(squares())
    assert not warmup.plan(model).in_thread
    assert warmup.plan(model, {"x": np.zeros((4, 900), np.float32)}).in_thread
