"""The client against a local server that misbehaves in every way a Prometheus, or what stands in for one, can."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import test_utils, web

from seatrial.analysis import counters
from seatrial.prometheus import client, errors

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def series(name: str, values: list[list[Any]] | None = None, **labels: str) -> dict[str, Any]:
    return {"metric": {"__name__": name, **labels}, "values": values or [[1767225600.5, "3"]]}


def success(*result: dict[str, Any], kind: str = "matrix") -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": list(result)}}


def answering(body: Any, *, status: int = 200, **options: Any) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(body=content, status=status, **options)

    return handler


@contextlib.asynccontextmanager
async def source(handler: Handler) -> AsyncIterator[client.Prometheus]:
    app = web.Application()
    app.router.add_post("/prom/api/v1/query", handler)
    async with test_utils.TestServer(app) as server:
        url = str(server.make_url("/prom/"))
        async with client.connected(default_url=url, scrape_interval=timedelta(seconds=15)) as connected:
            yield connected


async def look(prometheus: client.Prometheus, **options: Any) -> tuple[counters.Series, ...]:
    wanted: dict[str, Any] = {"namespace": "shop", "name": "churn", "stable": "s1", "candidate": "c1"}
    wanted |= {"since": NOW - timedelta(minutes=1), "until": NOW, **options}
    return await prometheus.look(**wanted)


async def test_samples_are_what_the_analysis_reads() -> None:
    body = success(
        series("seatrial_requests_total", revision="s1", pod="p1", outcome="ok", instance="i"),
        series("seatrial_request_duration_seconds_bucket", revision="c1", instance="10.0.0.1:8082", le="0.1"),
    )
    async with source(answering(body)) as prometheus:
        requests, latency = await look(prometheus)
    assert requests == counters.Series(
        arm=counters.Arm.STABLE,
        pod="p1",
        counter=counters.Counter.REQUESTS,
        label="ok",
        samples=[(1767225600.5, 3.0)],
    )
    assert (latency.arm, latency.pod, latency.counter, latency.label) == (
        counters.Arm.CANDIDATE,
        "10.0.0.1:8082",
        counters.Counter.LATENCY,
        "0.1",
    )


async def test_the_window_reaches_back_far_enough_for_the_first_increment() -> None:
    asked: dict[str, str] = {}

    async def handler(request: web.Request) -> web.Response:
        asked.update({key: str(value) for key, value in (await request.post()).items()})
        return web.json_response(success())

    async with source(handler) as prometheus:
        assert await look(prometheus, timeout=timedelta(seconds=5)) == ()
    assert asked["query"].endswith("[105000ms]")  # 60 s and three scrapes
    assert (asked["time"], asked["timeout"]) == ("1767225600.000", "5000ms")


async def test_without_a_candidate_only_stable_is_asked_for() -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(str((await request.post())["query"]))
        return web.json_response(success())

    async with source(handler) as prometheus:
        await look(prometheus, candidate=None)
    assert 'revision=~"s1"' in asked[0]


async def test_values_that_are_no_finite_number_are_passed_on_for_the_analysis_to_drop() -> None:
    body = success(
        series("seatrial_requests_total", [[1, "NaN"], [2, "+Inf"], [3, "4"]], revision="s1", pod="p", outcome="ok")
    )
    async with source(answering(body)) as prometheus:
        [one] = await look(prometheus)
    assert [str(value) for _, value in one.samples] == ["nan", "inf", "4.0"]


async def test_series_without_the_servers_labels_are_not_its_counters() -> None:
    body = success(
        series("seatrial_requests_total", revision="s1", outcome="ok"),
        series("seatrial_requests_total", revision="s1", pod="p"),
        series("seatrial_requests_total", revision="other", pod="p", outcome="ok"),
    )
    async with source(answering(body)) as prometheus:
        assert await look(prometheus) == ()


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (answering({"status": "error", "errorType": "bad_data", "error": "parse error"}, status=400), "400: parse"),
        (answering({"status": "error", "error": "too many samples"}, status=422), "422: too many samples"),
        (answering(b"<html>secret</html>", status=404), "refused the query with 404$"),
        (answering(b"", status=401), "refused the query with 401$"),
        (answering(b"", status=302, headers={"Location": "http://169.254.0.1/"}), "redirect"),
    ],
    ids=["400", "422", "404", "401", "redirect"],
)
async def test_a_configuration_error_says_what_prometheus_said_and_nothing_else_does(
    handler: Handler, said: str
) -> None:
    async with source(handler) as prometheus:
        with pytest.raises(errors.PrometheusRefused, match=said) as caught:
            await look(prometheus)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "handler",
    [
        answering(b"oops", status=500),
        answering({"status": "error", "error": "query timed out"}, status=503),
        answering(b"", status=429),
        answering(b"<html>login</html>"),
        answering({"hello": "world"}),
        answering(success(kind="vector")),
        answering(success(series("seatrial_requests_total", [[1, "x"]], revision="s1", pod="p", outcome="ok"))),
        answering(b'{"status":"success","data":{"resultType":"mat'),
    ],
    ids=["500", "503", "429", "html", "other json", "vector", "no number", "cut off"],
)
async def test_no_usable_answer_is_tried_again_later(handler: Handler) -> None:
    async with source(handler) as prometheus:
        with pytest.raises(errors.PrometheusUnavailable):
            await look(prometheus)


async def test_a_prometheus_that_hangs_is_given_up_after_the_timeout() -> None:
    ended = asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        await ended.wait()
        return web.Response()

    async with source(handler) as prometheus:
        with pytest.raises(errors.PrometheusUnavailable, match=r"did not answer within 0\.05 s"):
            await look(prometheus, timeout=timedelta(milliseconds=50))
        ended.set()


async def test_a_prometheus_that_drips_is_given_up_after_the_timeout() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b" ")
                await asyncio.sleep(0.01)
        return response

    async with source(handler) as prometheus:
        with pytest.raises(errors.PrometheusUnavailable, match="did not answer"):
            await look(prometheus, timeout=timedelta(milliseconds=100))


async def test_an_answer_beyond_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BODY_LIMIT", 2**20)
    async with source(answering(b" " * (2**20 + 1))) as prometheus:
        with pytest.raises(errors.PrometheusRefused, match="more than 1 MiB"):
            await look(prometheus)


async def test_nobody_there_is_unavailable(unused_tcp_port: int) -> None:
    async with client.connected(
        default_url=f"http://127.0.0.1:{unused_tcp_port}", scrape_interval=timedelta(seconds=15)
    ) as prometheus:
        with pytest.raises(errors.PrometheusUnavailable, match="can't be reached"):
            await look(prometheus)


@pytest.mark.parametrize("url", ["http://[::1", "http://:9090"], ids=str)
async def test_what_is_no_url_is_a_configuration_error(url: str) -> None:
    async with client.connected(default_url="", scrape_interval=timedelta(seconds=15)) as prometheus:
        with pytest.raises(errors.PrometheusRefused, match="is not a URL"):
            await look(prometheus, url=url)


async def test_no_prometheus_at_all_says_where_to_name_one() -> None:
    async with client.connected(default_url="", scrape_interval=timedelta(seconds=15)) as prometheus:
        with pytest.raises(errors.PrometheusRefused, match=r"spec\.analysis\.prometheus\.url"):
            await look(prometheus)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://user:secret@prometheus:9090/x", "http://prometheus:9090/x"),
        ("http://prometheus:9090", "http://prometheus:9090"),
        ("http://prometheus/a@b", "http://prometheus/a@b"),
    ],
    ids=["password", "none", "path"],
)
def test_a_password_in_the_url_is_not_shown(url: str, text: str) -> None:
    assert client.shown(url) == text
