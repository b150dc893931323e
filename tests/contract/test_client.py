"""The traffic client counts what happened, once each: against a V2 server that can be told to misbehave.

The server is a small aiohttp one, because a healthy one can't be asked to cut answers off or to close under a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from tests.cluster.client import rows as client_rows
from tests.cluster.client import scanner, settings, traffic
from tests.cluster.client.ledger import Ledger
from tests.cluster.harness import ports

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
REPO = pathlib.Path(__file__).resolve().parents[2]
SAYS = {"seatrial-revision": "5d41c0"}
CLASSES = ("ok", "model_errors", "rejected", "shed", "lost", "wrong", "waiting")
ROWS = client_rows.Rows(
    input="features", low=0.0, high=16.0, classes=2, rows=((0.0, 3.0), (5.0, 16.0)), labels=(0, 0), noise=0.25
)


def answer(request: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A right V2 answer of version 7 to a one-row request, with changes."""
    outputs = [
        {"name": "label", "datatype": "INT64", "shape": [1], "data": [0]},
        {"name": "probabilities", "datatype": "FP32", "shape": [1, 2], "data": [0.75, 0.25]},
    ]
    return {"id": request["id"], "model_name": "digits", "model_version": "7", "outputs": outputs, **changes}


@contextlib.asynccontextmanager
async def serving(handler: Handler, *, port: int = 0, keepalive: float = 30.0) -> AsyncIterator[int]:
    application = web.Application()
    application.add_routes([web.post("/v2/models/digits/infer", handler)])
    runner = web.AppRunner(application, access_log=None, keepalive_timeout=keepalive, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host="127.0.0.1", port=port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def sending(port: int, *, data: client_rows.Rows = ROWS, **changes: Any) -> AsyncIterator[Ledger]:
    """The client under way; stopped at the end, with everything accounted for."""
    chosen = settings.Settings(
        **{
            "target": f"http://127.0.0.1:{port}",
            "model": "digits",
            "rows": "",
            "rate": 200.0,
            "timeout_seconds": 60.0,
            **changes,
        }
    )
    ledger, stop = Ledger(epoch=time.time() - time.monotonic()), asyncio.Event()
    task = asyncio.create_task(traffic.run(chosen, data, ledger=ledger, stop=stop))
    try:
        yield ledger
    finally:
        stop.set()
        await task
    assert sum(ledger.as_dict()[name] for name in CLASSES) == ledger.as_dict()["sent"] == ledger.started


async def until(ledger: Ledger, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while not condition(stats := ledger.as_dict()):  # noqa: ASYNC110  the ledger is plain counters, it wakes nobody
            await asyncio.sleep(0.01)
    return stats


def answering(reply: Callable[[dict[str, Any]], web.StreamResponse]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return reply(await request.json())

    return handler


def alternating(first: web.Response | None = None, **changes: Any) -> Handler:
    """A good answer to every even request; else `first`, or an answer with `changes`."""

    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if int(body["id"].rpartition("-")[2]) % 2 == 0:
            return web.json_response(answer(body), headers=SAYS)
        if first is not None:
            return web.Response(status=first.status, body=first.body, content_type="application/json", headers=SAYS)
        return web.json_response(answer(body, **changes), headers=SAYS)

    return handler


async def test_good_answers_are_counted_per_version_with_latency_and_correctness():
    async with serving(alternating()) as port, sending(port) as ledger:
        stats = await until(ledger, lambda stats: stats["ok"] >= 50)
    version = stats["versions"]["7"]
    assert stats["ok"] == stats["sent"] == version["ok"] == version["correct"]
    assert 0 < version["latency_ms"]["p50"] <= version["latency_ms"]["p99"] <= version["latency_ms"]["max"]


async def test_a_versions_first_answer_is_dated():
    before = time.time()
    async with serving(alternating()) as port, sending(port) as ledger:
        stats = await until(ledger, lambda stats: stats["ok"] >= 20)
        first = stats["versions"]["7"]["first_at"]
        assert before <= first <= time.time()
        later = await until(ledger, lambda stats: stats["ok"] >= 40)
    assert later["versions"]["7"]["first_at"] == first


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(500, {"error": "...", "code": "ModelFailed"}, "model_errors", id="500: the model failed"),
        pytest.param(500, {"error": "...", "code": "NotFinite"}, "model_errors", id="500: the model answered NaN"),
        pytest.param(500, {"error": "...", "code": "Internal"}, "wrong", id="500: the server failed"),
        pytest.param(500, [], "wrong", id="500 without a V2 error"),
        pytest.param(400, {"error": "NaN"}, "rejected", id="400"),
        pytest.param(429, {"error": "queue full"}, "shed", id="429"),
        pytest.param(503, {"error": "draining"}, "lost", id="503"),
        pytest.param(503, {"error": "...", "code": "Overloaded"}, "shed", id="503: waited too long"),
        pytest.param(504, {"error": "...", "code": "DeadlineExceeded"}, "model_errors", id="504: the model is slow"),
        pytest.param(302, {}, "wrong", id="a status that no V2 server gives"),
    ],
)
async def test_a_failure_is_counted_in_its_class_for_the_version_that_answered(status, body, expected):
    failing = web.Response(status=status, text=json.dumps(body))
    async with serving(alternating(failing)) as port, sending(port, connections=1) as ledger:
        await until(ledger, lambda stats: stats["ok"] >= 3)
        stats = await until(ledger, lambda stats: stats[expected] >= 3)
    assert stats["versions"]["7"][expected] >= 2
    assert stats["lost"] + stats["wrong"] == (stats[expected] if expected in ("lost", "wrong") else 0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"id": "someone-else"}, "another id", id="another id"),
        pytest.param({"model_name": "churn"}, "another model", id="another model"),
        pytest.param({"outputs": []}, "missing output", id="outputs missing"),
        pytest.param({"outputs": 3}, "not a V2 answer", id="not a V2 answer"),
        pytest.param(
            {
                "outputs": [
                    {"name": "label", "datatype": "INT64", "shape": [1], "data": [2]},
                    {"name": "probabilities", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 0.5]},
                ]
            },
            "label range",
            id="a label that is no class",
        ),
        pytest.param(
            {
                "outputs": [
                    {"name": "label", "datatype": "INT64", "shape": [1], "data": [0]},
                    {"name": "probabilities", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 0.6]},
                ]
            },
            "probabilities sum",
            id="probabilities that do not sum to 1",
        ),
    ],
)
async def test_an_answer_that_is_not_what_was_asked_for_is_wrong(changes, reason):
    async with serving(alternating(**changes)) as port, sending(port) as ledger:
        stats = await until(ledger, lambda stats: stats["wrong"] >= 3)
    assert stats["reasons"][f"wrong: {reason}"] == stats["wrong"]


async def test_a_keep_alive_connection_closed_by_the_server_loses_nothing():
    """The server closes each connection instead of answering its third request: no byte of an answer was sent."""
    served: dict[Any, int] = {}

    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        served[request.transport] = served.get(request.transport, 0) + 1
        if served[request.transport] == 3 and request.transport is not None:
            request.transport.close()
        return web.json_response(answer(body))

    async with serving(handler) as port, sending(port, connections=2) as ledger:
        stats = await until(ledger, lambda stats: stats["reconnected"] >= 5)
    assert stats["ok"] == stats["sent"]


async def test_a_new_connection_closed_before_the_answer_is_lost():
    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if int(body["id"].rpartition("-")[2]) > 3 and request.transport is not None:
            request.transport.close()
        response = web.json_response(answer(body))
        response.force_close()
        return response

    async with serving(handler) as port, sending(port) as ledger:
        stats = await until(ledger, lambda stats: stats["lost"] >= 3)
    assert stats["reconnected"] == 0
    assert stats["reasons"]["lost: closed before the answer"] == stats["lost"]


async def test_an_answer_cut_off_is_lost_and_not_sent_again():
    seen = []

    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        seen.append(body["id"])
        if len(seen) < 4:
            return web.json_response(answer(body))
        response = web.StreamResponse(headers={"Content-Length": "500"})
        await response.prepare(request)
        await response.write(b'{"model_name": ')
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(handler) as port, sending(port, connections=1) as ledger:
        stats = await until(ledger, lambda stats: stats["lost"] >= 3)
    assert stats["reconnected"] == 0
    assert len(seen) == len(set(seen))


async def test_no_answer_in_time_is_lost():
    hangs = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if hangs.is_set():
            await asyncio.Event().wait()
        return web.json_response(answer(body))

    async with serving(handler) as port, sending(port, timeout_seconds=0.2) as ledger:
        await until(ledger, lambda stats: stats["ok"] >= 1)
        hangs.set()
        await until(ledger, lambda stats: stats["reasons"].get("lost: timeout", 0) >= 3)


async def test_a_target_that_is_not_there_yet_is_waited_for_and_a_loss_once_it_was():
    port = ports.free_port()
    async with sending(port) as ledger:
        await until(ledger, lambda stats: stats["waiting"] >= 3)
        async with serving(alternating(), port=port):
            stats = await until(ledger, lambda stats: stats["ok"] >= 3)
            assert stats["lost"] == 0
        stats = await until(ledger, lambda stats: stats["lost"] >= 3)
    assert stats["reasons"]["waiting: ConnectionRefusedError"] == stats["waiting"]


async def test_connections_are_renewed_so_that_a_service_can_spread_them():
    async with serving(alternating()) as port, sending(port, connections=2, connection_seconds=0.1) as ledger:
        stats = await until(ledger, lambda stats: stats["connections_opened"] >= 10)
    assert stats["ok"] == stats["sent"]
    assert stats["reconnected"] == 0


async def test_arrivals_that_find_no_free_connection_are_skipped_and_not_sent_late():
    """What is sent is new: it is further on than what was sent before it, by those that were skipped."""
    sent = []

    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        sent.append(int(body["id"].rpartition("-")[2]))
        await asyncio.sleep(0.05)
        return web.json_response(answer(body))

    async with serving(handler) as port, sending(port, connections=1) as ledger:
        stats = await until(ledger, lambda _: bool(sent) and sent[-1] >= len(sent) + 20)
    assert stats["skipped"] > 20
    assert stats["ok"] == stats["sent"]
    assert sent == sorted(sent)


async def test_an_answer_given_in_anothers_place_counts_for_both():
    async def handler(request: web.Request) -> web.StreamResponse:
        covers = {"seatrial-covered": "9a0b1c"} if len(seen) % 2 else {}
        seen.append(covers)
        return web.json_response(answer(await request.json()), headers={**SAYS, **covers})

    seen: list[dict[str, str]] = []
    async with serving(handler) as port, sending(port) as ledger:
        stats = await until(ledger, lambda stats: stats["covered"] >= 10)
    candidate, stable = stats["versions"]["unknown"], stats["versions"]["7"]
    assert (stats["ok"], stable["ok"], stable["covered"]) == (stats["sent"], stats["sent"], 0)
    assert (candidate["sent"], candidate["covered"]) == (0, stats["covered"])
    assert stable["first_at"] <= candidate["first_at"]


async def test_no_two_requests_have_the_same_values():
    """Of as many values as real rows: of two, which are rounded, some sixty rows are enough for two to be equal."""
    seen = []
    wide = msgspec.structs.replace(ROWS, rows=tuple(row * 32 for row in ROWS.rows))

    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        seen.append(tuple(body["inputs"][0]["data"]))
        return web.json_response(answer(body))

    async with serving(handler) as port, sending(port, data=wide) as ledger:
        await until(ledger, lambda stats: stats["ok"] >= 30)
    assert len(set(seen)) == len(seen)
    assert all(0 <= value <= 16 for row in seen for value in row)


def test_a_mark_lies_anywhere_in_the_range_and_in_an_outage_in_its_top_part():
    marks, chance = client_rows.Marks(), random.Random(1)
    normal = [marks.draw(ROWS, chance) for _ in range(1000)]
    assert 0 < min(normal) < 0.1
    assert 15.9 < max(normal) <= 16
    marks.outage(4)
    assert 12 < min(marks.draw(ROWS, chance) for _ in range(1000)) < 12.1


def test_a_marked_row_differs_in_its_first_value_only():
    plain, marked = (
        json.loads(client_rows.draw(ROWS, id="one", chance=random.Random(1), marks=marks).body)["inputs"][0]["data"]
        for marks in (None, client_rows.Marks())
    )
    assert plain[1:] == marked[1:]
    assert plain[0] != marked[0]


def test_a_scanner_takes_ink_from_every_pixel_and_a_whole_line_from_some_rows():
    data = client_rows.Rows(input="x", low=0.0, high=16.0, classes=2, rows=((10.0,) * 64,), labels=(0,))
    through, chance = scanner.Scanner(), random.Random(1)
    through.state = scanner.State(ink=0.5, gaps=0.5)
    drawn = [
        json.loads(client_rows.draw(data, id="one", chance=chance, through=through).body)["inputs"][0]["data"]
        for _ in range(100)
    ]
    gaps = [row for row in drawn if None in row]
    assert 30 < len(gaps) < 70
    assert all(row[24:32] == [None] * 8 and {5.0} == {*row[:24], *row[32:]} for row in gaps)
    assert all({*row} == {5.0} for row in drawn if None not in row)


async def test_the_program_reports_serves_its_stats_and_ends_well_on_sigterm(tmp_path):
    stats_port = ports.free_port()
    data = tmp_path / "rows.json"
    data.write_bytes(msgspec.json.encode(ROWS))
    async with serving(alternating()) as port:
        environment = {
            "TARGET": f"http://127.0.0.1:{port}",
            "MODEL": "digits",
            "ROWS": str(data),
            "STATS_PORT": str(stats_port),
            "TIMEOUT_SECONDS": "60",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "client",
            cwd=REPO / "tests" / "cluster",
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        first = json.loads(await process.stdout.readline())
        async with aiohttp.ClientSession(f"http://127.0.0.1:{stats_port}") as session:
            async with session.get("/stats") as response:
                assert (await response.json())["sent"] >= first["sent"]
            async with session.post("/scanner", json={"ink": 0.5}) as response:
                assert await response.json() == {"ink": 0.5, "gaps": 0.0}
            async with session.post("/scanner", json={"lamp": 1}) as response:
                assert response.status == 400
        process.send_signal(signal.SIGTERM)
        rest, _ = await process.communicate()
    last = json.loads(rest.splitlines()[-1])
    assert process.returncode == 0
    assert (last["in_flight"], last["ok"]) == (0, last["sent"])


def test_a_missing_setting_is_named():
    with pytest.raises(msgspec.ValidationError, match="model"):
        settings.read({"TARGET": "http://digits:8080"})
