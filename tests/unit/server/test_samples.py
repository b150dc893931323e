"""Samples of requests: which ones, what is masked, and what a slow, dead or hostile sink can do: nothing."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.unit.server import test_telemetry

from seatrial_server.engine import jobs
from seatrial_server.host import config
from seatrial_server.model import bins, schema
from seatrial_server.observe import telemetry
from seatrial_server.samples import events, sampler, sending

MODEL = schema.Schema(
    inputs=(
        schema.TensorSpec(name="x", datatype="FP32", shape=(-1, 3)),
        schema.TensorSpec(name="name", datatype="BYTES", shape=(-1, 1)),
    ),
    outputs=(schema.TensorSpec(name="y", datatype="FP32", shape=(-1, 1)),),
)
FEATURES = (
    schema.Feature("income", input="x"),
    schema.Feature("age", input="x", sensitive=True),
    schema.Feature("group", input="x", sensitive=True),
    schema.Feature("who", input="name", sensitive=True),
)
PROFILE = bins.Profile(
    features=(
        bins.Bins(name="x.age", tensor=0, column=1, edges=(0.0, 30.0, 60.0, 90.0)),
        bins.Bins(name="x.group", tensor=0, column=2, categories=(1.0, 2.0)),
    )
)
SETTINGS = config.Config(
    model=config.ModelRef(name="churn", version="7", uri="pvc://m/1", sha256="a" * 64),
    deployment="churn",
    namespace="shop",
    revision="abc",
)


def job(number: int, *, values: list[jobs.Values] | None = None, rows: int = 1) -> jobs.Job:
    x = np.arange(3 * rows, dtype=np.float32)
    return jobs.Job(
        id=f"r{number}",
        values=values or [x, ["Ann"] * rows],
        shapes=[(rows, 3), (rows, 1)],
        rows=rows,
        reply=None,
        started=0.0,
        done=lambda *_: None,
    )


def answer(rows: int = 1) -> list[Any]:
    return [np.full((rows, 1), 0.5, np.float32)]


def made(share: float = 1.0, sink: str = "http://127.0.0.1:1/") -> tuple[sampler.Sampler, telemetry.Telemetry]:
    counters = test_telemetry.counters()
    found = sampler.Sampler(counters)
    found.follow(sampler.Settings(share=share, sink=sink))
    return found, counters


def encoder() -> events.Encoder:
    return events.Encoder(SETTINGS, MODEL, FEATURES, PROFILE)


def test_nothing_is_sampled_until_a_share_and_a_sink_are_given() -> None:
    counters = test_telemetry.counters()
    assert not sampler.Sampler(counters).on
    assert [made(0.0)[0].on, made(1.0, "")[0].on, made(0.001)[0].on] == [False, False, True]


def test_both_versions_choose_the_same_requests_and_the_share_of_them() -> None:
    one, other = made(0.1)[0], made(0.1)[0]
    chosen = [number for number in range(20_000) if one.chooses(f"id-{number}")]
    assert chosen == [number for number in range(20_000) if other.chooses(f"id-{number}")]
    assert abs(len(chosen) / 20_000 - 0.1) < 4 * math.sqrt(0.09 / 20_000)
    wider = made(0.2)[0]
    assert all(wider.chooses(f"id-{number}") for number in chosen), "a larger share keeps those of a smaller one"
    assert made(1.0)[0].chooses("\ud800")


def test_what_waits_is_bounded_and_the_oldest_gives_way() -> None:
    waiting, counters = made()
    for number in range(10_000):
        waiting.offer(job(number, rows=10), answer(10))
    kept: list[str] = []
    size = 0
    while batch := waiting.batch():
        assert len(batch) <= sampler.BATCH
        kept += [one.id for one in batch]
        size += sum(one.size for one in batch)
    assert size <= sampler.MOST_BYTES
    assert kept == [f"r{number}" for number in range(10_000 - len(kept), 10_000)]
    assert counters.samples == {"sent": 0, "dropped": 10_000 - len(kept), "failed": 0}


def test_one_that_is_larger_than_the_bound_is_dropped_alone() -> None:
    waiting, counters = made()
    waiting.offer(job(1), answer())
    waiting.offer(job(2, values=[np.zeros(3 * 200_000, np.float32), ["Ann"] * 200_000], rows=200_000), answer())
    assert ([one.id for one in waiting.batch()], counters.samples["dropped"]) == (["r1"], 1)


def test_a_row_of_a_batch_does_not_keep_the_batch_in_memory() -> None:
    waiting, _ = made()
    batch = jobs.Batch([np.zeros((256, 1), np.float32)], row_bytes=4)
    waiting.offer(job(1), jobs.Share(batch, 3, 4))
    [kept] = waiting.batch()
    assert kept.outputs[0].base is None
    assert kept.outputs[0].shape == (1, 1)


def test_a_sample_is_a_request_and_its_answer_without_what_is_sensitive() -> None:
    waiting, _ = made()
    x = np.array([1.5, 45, 2, 2.5, 90, 1, 3.5, math.nan, 1], np.float32)
    given = job(7, values=[x, ["Ann", "Bob", "Cid"]], rows=3)
    given.degraded = "clipped: age"
    waiting.offer(given, answer(3))
    request, response = json.loads(encoder().encode(waiting.batch()))
    assert request["type"] == "org.kubeflow.serving.inference.request"
    assert response["type"] == "org.kubeflow.serving.inference.response"
    for event in (request, response):
        assert (event["specversion"], event["id"], event["source"]) == ("1.0", "r7", "/shop/churn/abc")
        assert (event["inferenceservicename"], event["namespace"], event["revision"]) == ("churn", "shop", "abc")
    x, name = (tensor["data"] for tensor in request["data"]["inputs"])
    assert x == [1.5, "2", None, 2.5, "3", None, 3.5, "missing", None]
    assert name == [None, None, None]
    assert request["data"]["parameters"] == {"masked": "age,group,who"}
    assert response["data"]["outputs"] == [{"name": "y", "shape": [3, 1], "datatype": "FP32", "data": [0.5] * 3}]
    assert response["data"]["parameters"] == {"degraded": "clipped: age"}
    assert "Ann" not in json.dumps([request, response])


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([1.5, 45, 2], id="a list"),
        pytest.param(jobs.Numbers((b"1.5, 45, 2",), 3, b"", lambda _: []), id="text"),
        pytest.param(np.array([[1.5, 45, 2]], np.float32), id="an array"),
    ],
)
def test_values_are_told_alike_however_they_came(values: Any) -> None:
    waiting, _ = made()
    waiting.offer(job(1, values=[values, ["Ann"]]), answer())
    request, _ = json.loads(encoder().encode(waiting.batch()))
    assert request["data"]["inputs"][0]["data"] == [1.5, "2", None]


class Sink:
    """A server on loopback that does one thing to whoever connects."""

    def __init__(self, act: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> None:
        self._act = act
        self.bodies: list[bytes] = []

    async def __aenter__(self) -> Sink:
        self._server = await asyncio.start_server(self._taken, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/in"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._act(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def read(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return await reader.readexactly(int(length.partition(b":")[2]))


async def test_what_the_sink_takes_is_counted_as_sent() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sink.bodies.append(await read(reader))
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with Sink(act) as sink:
        waiting, counters = made(sink=sink.url)
        for number in range(250):
            waiting.offer(job(number), answer())
        assert await sending.Sender(waiting, encoder, counters).flush()
    assert counters.samples == {"sent": 250, "dropped": 0, "failed": 0}
    assert [len(json.loads(body)) for body in sink.bodies] == [200, 200, 100]


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def trickling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def flooding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 100_000)
        await writer.drain()


async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH\r\n")
    await writer.drain()


async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read(reader)
    writer.write(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    await writer.drain()


async def redirecting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read(reader)
    writer.write(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://169.254.169.254/\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize("act", [silent, trickling, flooding, other, refusing, redirecting])
async def test_a_sink_that_does_not_take_them_costs_the_batch_and_no_more(act: Any) -> None:
    async with Sink(act) as sink:
        waiting, counters = made(sink=sink.url)
        for number in range(150):
            waiting.offer(job(number), answer())
        sender = sending.Sender(waiting, encoder, counters, sink_seconds=0.2)
        assert not await sender.flush()
        assert counters.samples == {"sent": 0, "dropped": 0, "failed": 100}
        assert len(waiting.batch()) == 50


async def test_a_sink_that_is_not_there_is_left_alone_for_ever_longer() -> None:
    waiting, counters = made(sink="http://127.0.0.1:1/")
    sender = sending.Sender(waiting, encoder, counters)
    for number in range(3):
        waiting.offer(job(number), answer())
    assert not await sender.flush()
    assert counters.samples["failed"] == 3


def test_another_sink_gets_nothing_that_was_meant_for_the_first() -> None:
    waiting, counters = made()
    waiting.offer(job(1), answer())
    waiting.follow(sampler.Settings(share=1.0, sink="http://127.0.0.1:2/"))
    assert (waiting.batch(), counters.samples["dropped"]) == ([], 1)
    waiting.follow(sampler.Settings())
    assert not waiting.on
