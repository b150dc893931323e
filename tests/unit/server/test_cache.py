"""The cache: what counts as the same request, what is kept, who waits for whom."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pytest
from tests.unit.server import graphs, port, test_telemetry

from seatrial_server.engine import batching, cache, inference, jobs, validation
from seatrial_server.host import config, errors
from seatrial_server.model import bins, features, schema, session
from seatrial_server.observe import drift
from seatrial_server.prepare import profile

INLINE = batching.Plan(in_thread=False, batched=True, row_seconds=0.0001)
THREAD = batching.Plan(in_thread=True, batched=True, row_seconds=0.001)


PATIENT = config.Limits(timeout_seconds=port.PATIENCE)


class Client:
    """Sends jobs through a cache to a model; time is what `now` says."""

    def __init__(
        self,
        graph: bytes,
        *columns: schema.Feature,
        plan: batching.Plan = INLINE,
        served_sha256: str = "aa",
        limits: config.Limits | None = None,
        max_bytes: int = 1_000_000,
        observer: drift.Drift | None = None,
    ) -> None:
        model = session.load(graph)
        engine = inference.Engine(
            model,
            validation.guards(model.schema, features.by_input(columns, model.schema) if columns else {}),
            observer=observer,
        )
        self.counters, self.now = test_telemetry.counters(), 0.0
        batcher = batching.Batcher(engine, plan, limits=limits or PATIENT, counters=self.counters)
        self.cache = cache.Cache(
            batcher,
            engine,
            settings=config.Cache(max_bytes=max_bytes, ttl_seconds=60),
            served_sha256=served_sha256,
            counters=self.counters,
            clock=lambda: self.now,
        )

    async def ask(self, values: Any, *, shape: tuple[int, ...] = (1, 4), id: str = "", timeout: float = 0.0) -> Any:
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        job = jobs.Job(
            id=id,
            values=[values],
            shapes=[shape],
            rows=shape[0],
            reply=None,
            started=time.perf_counter(),
            timeout=timeout,
            done=lambda job, result: answered.set_result((job, result)),
        )
        self.cache.submit(job)
        self.last, result = await asyncio.wait_for(answered, port.PATIENCE)
        return result

    @property
    def runs(self) -> int:
        return sum(self.counters.batch_rows.counts)


async def test_the_same_values_in_another_form_with_another_id_are_the_same_request() -> None:
    client = Client(graphs.linear())
    first = await client.ask([1, 2, 3, 4], id="a")
    second = await client.ask(np.array([1, 2, 3, 4], np.float32), id="b")
    assert first[0].tolist() == second[0].tolist() == [[10, -10]]
    assert (client.runs, client.counters.cache) == (1, {"hit": 1, "miss": 1, "shared": 0})


async def test_no_model_gives_the_answer_of_another() -> None:
    linear, echo = Client(graphs.linear(2), served_sha256="aa"), Client(graphs.echo(1), served_sha256="bb")
    echo.cache._entries = linear.cache._entries  # as if both shared one store
    assert (await linear.ask([1, 2], shape=(1, 2)))[0].tolist() == [[3, -3]]
    assert (await echo.ask([1, 2], shape=(1, 2)))[0].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("values", "shape"),
    [([1, 2, 3, 5], (1, 4)), ([1, 2, 3, 4] * 2, (2, 4)), ([1, 2, 3, 4.0000005], (1, 4))],
    ids=["another value", "another shape", "the next float"],
)
async def test_another_request_is_a_miss(values: list[float], shape: tuple[int, ...]) -> None:
    client = Client(graphs.linear())
    await client.ask([1, 2, 3, 4])
    await client.ask(values, shape=shape)
    assert client.counters.cache["hit"] == 0


async def test_strings_are_told_apart_where_they_end() -> None:
    client = Client(graphs.echo(8))
    for values in (["ab", "c"], ["a", "bc"], ["ab", "c"]):
        assert (await client.ask(values, shape=(1, 2)))[0].tolist() == [values]
    assert client.counters.cache == {"hit": 1, "miss": 2, "shared": 0}


async def test_equal_requests_at_once_run_once() -> None:
    client = Client(graphs.slow(20_000), plan=THREAD)
    answers = await asyncio.gather(*(client.ask([1, 2, 3, 4], id=str(number)) for number in range(5)))
    assert [answer[0].tolist() for answer in answers] == [[[1, 2, 3, 4]]] * 5
    assert (client.runs, client.counters.cache) == (1, {"hit": 0, "miss": 1, "shared": 4})


async def test_an_error_is_not_kept_and_each_waiting_request_gets_its_own() -> None:
    client = Client(graphs.lookup())
    failures = await asyncio.gather(*(client.ask([99], shape=(1,), id=str(number)) for number in range(3)))
    assert [failure.code for failure in failures] == ["ModelFailed"] * 3
    assert len({id(failure) for failure in failures}) == 3
    assert isinstance(await client.ask([99], shape=(1,)), errors.RequestError)
    assert client.counters.cache == {"hit": 0, "miss": 2, "shared": 2}


async def test_a_degraded_answer_is_not_kept() -> None:
    columns = [schema.Feature(name, range=(0, 1), policy="clip") for name in "abcd"]
    client = Client(graphs.linear(), *columns)
    for _ in range(2):
        assert (await client.ask([1, 1, 1, 9]))[0].tolist() == [[4, -4]]
        assert client.last.degraded == "clipped: d"
    assert client.counters.cache["hit"] == 0


async def test_an_answer_expires() -> None:
    client = Client(graphs.linear())
    for client.now in (0.0, 59.0, 61.0):
        await client.ask([1, 2, 3, 4])
    assert client.counters.cache == {"hit": 1, "miss": 2, "shared": 0}


async def test_bytes_are_bounded_and_the_least_recently_used_goes_first() -> None:
    client = Client(graphs.linear(), max_bytes=3 * 264)
    for value in (1, 2, 3, 1, 4):
        await client.ask([value] * 4)
    assert client.counters.cache_bytes == 3 * 264
    before = client.counters.cache["hit"]
    for value in (1, 3, 4):
        await client.ask([value] * 4)
    assert client.counters.cache["hit"] - before == 3
    await client.ask([2] * 4)
    assert client.counters.cache["hit"] - before == 3


async def test_an_answer_that_is_too_large_is_not_kept() -> None:
    client = Client(graphs.linear(), max_bytes=100)
    await client.ask([1, 2, 3, 4])
    assert client.counters.cache_bytes == 0


async def test_what_the_queue_refuses_leaves_nothing_behind() -> None:
    client = Client(graphs.linear(), limits=config.Limits(max_queue_rows=1))
    for _ in range(2):
        with pytest.raises(errors.RequestError):
            await client.ask([1] * 8, shape=(2, 4))
    assert client.counters.cache == {"hit": 0, "miss": 2, "shared": 0}


def counter() -> drift.Drift:
    """Counters of the linear model's four features."""
    rows = np.random.default_rng(0).standard_normal((100, 4)).astype(np.float32)
    frozen = profile.features(schema.Card(), session.load(graphs.linear()).schema, [rows])
    reference = bins.Profile(features=frozen, feature_shares=drift.shares(frozen, [rows.dtype], [rows]))
    return drift.Drift(reference, inputs=[rows.dtype], outputs=[rows.dtype], labels={})


async def test_repeated_requests_are_traffic_like_any_other() -> None:
    observer = counter()
    client = Client(graphs.linear(), observer=observer)
    for _ in range(3):
        await client.ask([1, 2, 3, 4])
    await asyncio.gather(*(client.ask([5, 6, 7, 8]) for _ in range(2)))
    lines = [line for line in observer.exposition().splitlines() if line.startswith("seatrial_feature_rows_total")]
    assert sum(int(line.rpartition(" ")[2]) for line in lines) == 4 * 5
    assert client.runs == 2
