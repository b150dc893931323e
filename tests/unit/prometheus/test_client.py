"""The client against a local server that misbehaves in every way a Prometheus, or what stands in for one, can."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import test_utils, web
from tests.cluster.harness import ports
from tests.unit.prometheus import build

from seatrial.prometheus import access, client, credentials, errors

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def series(name: str, values: list[list[Any]] | None = None, **labels: str) -> dict[str, Any]:
    return {"metric": {"__name__": name, **labels}, "values": values or [[1767225600.5, "3"]]}


def success(*result: Any, kind: str = "matrix", **more: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": list(result)}, **more}


def encoded(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def answering(body: Any, *, status: int = 200, **options: Any) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=encoded(body), status=status, **options)

    return handler


Ask = Callable[..., Awaitable[bytes]]


@contextlib.asynccontextmanager
async def asking(handler: Handler, **options: Any) -> AsyncIterator[Ask]:
    """A question to a server with this handler."""
    app = web.Application()
    app.router.add_post("/prom/api/v1/query", handler)
    async with test_utils.TestServer(app) as server, client.connected() as connected:
        endpoint = client.Endpoint(place=access.place(str(server.make_url("/prom/"))), **options)

        async def ask(timeout: timedelta = timedelta(seconds=10)) -> bytes:
            return await connected.ask(endpoint, "up", at=build.NOW, timeout=timeout)

        yield ask


async def test_a_question_is_a_form_with_its_time_limit_and_credentials() -> None:
    asked: dict[str, str] = {}

    async def handler(request: web.Request) -> web.Response:
        asked.update({key: str(value) for key, value in (await request.post()).items()})
        asked["who"] = request.headers["Authorization"]
        return web.json_response(success())

    who = credentials.parse({"token": "abc"}, where="test")
    async with asking(handler, credentials=who) as ask:
        await ask(timedelta(seconds=5))
    assert asked == {"query": "up", "time": "1767268800.000", "timeout": "5000ms", "who": "Bearer abc"}


def test_samples_come_with_their_labels_and_what_is_no_finite_number_is_left_to_the_analysis() -> None:
    answer = client.samples(encoded(success(series("x", [[1, "NaN"], [2, "+Inf"], [3, "4"]], pod="p"))), where="here")
    [one] = answer.series
    assert one.labels == {"__name__": "x", "pod": "p"}
    assert [str(value) for _, value in one.samples] == ["nan", "inf", "4.0"]


@pytest.mark.parametrize(
    "more", [{"warnings": ["results truncated"]}, {"warnings": None}, {"infos": ["not a counter"]}]
)
def test_warnings_are_kept_and_remarks_on_the_expression_are_not(more: dict[str, Any]) -> None:
    answer = client.samples(encoded(success(**more)), where="here")
    assert answer.warnings == (("results truncated",) if more.get("warnings") else ())


def test_a_vector_and_a_scalar_give_numbers() -> None:
    vector = success({"metric": {"a": "b"}, "value": [1, "0.5"]}, {"metric": {}, "value": [1, "NaN"]}, kind="vector")
    [(labels, value), (_, nan)] = client.vector(encoded(vector), where="here").values
    assert (labels, value, math.isnan(nan)) == ({"a": "b"}, 0.5, True)
    scalar = {"status": "success", "data": {"resultType": "scalar", "result": [1, "7"]}}
    assert client.vector(encoded(scalar), where="here").values == (({}, 7.0),)


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (answering({"status": "error", "errorType": "bad_data", "error": "parse error"}, status=400), "400: parse"),
        (answering({"status": "error", "error": "too many samples"}, status=422), "422: too many samples"),
        (answering(b"<html>secret</html>", status=404), "refused the query with 404$"),
        (answering(b"", status=401), r"refused the query with 401; give credentials with .*secretRef"),
        (answering(b"", status=302, headers={"Location": "http://169.254.0.1/"}), "redirect"),
    ],
    ids=["400", "422", "404", "401", "redirect"],
)
async def test_a_configuration_error_says_what_prometheus_said_and_nothing_else_does(
    handler: Handler, said: str
) -> None:
    async with asking(handler) as ask:
        with pytest.raises(errors.PrometheusRefused, match=said) as caught:
            await ask()
    assert "secret<" not in str(caught.value)


@pytest.mark.parametrize(
    "handler",
    [
        answering(b"oops", status=500),
        answering({"status": "error", "error": "query timed out"}, status=503),
        answering(b"", status=429),
    ],
    ids=["500", "503", "429"],
)
async def test_no_usable_answer_is_tried_again_later(handler: Handler) -> None:
    async with asking(handler) as ask:
        with pytest.raises(errors.PrometheusUnavailable):
            await ask()


@pytest.mark.parametrize(
    "body",
    [
        b"<html>login</html>",
        {"hello": "world"},
        success(kind="vector"),
        success(series("x", [[1, "x"]])),
        b'{"status":"success","data":{"resultType":"mat',
        b"[" * 100_000,
    ],
    ids=["html", "other json", "vector", "no number", "cut off", "deep"],
)
def test_what_is_no_answer_of_prometheus_is_tried_again_later(body: Any) -> None:
    with pytest.raises(errors.PrometheusUnavailable):
        client.samples(encoded(body), where="here")


@pytest.mark.parametrize("kind", ["matrix", "string"])
def test_an_expression_without_numbers_is_tried_again_later(kind: str) -> None:
    with pytest.raises(errors.PrometheusUnavailable, match="no numbers"):
        client.vector(encoded(success(kind=kind)), where="here")


async def test_a_prometheus_that_hangs_is_given_up_after_the_timeout() -> None:
    ended = asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        await ended.wait()
        return web.Response()

    async with asking(handler) as ask:
        with pytest.raises(errors.PrometheusUnavailable, match=r"did not answer within 0\.05 s"):
            await ask(timedelta(milliseconds=50))
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

    async with asking(handler) as ask:
        with pytest.raises(errors.PrometheusUnavailable, match="did not answer"):
            await ask(timedelta(milliseconds=100))


async def test_an_answer_beyond_the_bound_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BODY_LIMIT", 2**20)
    async with asking(answering(b" " * (2**20 + 1))) as ask:
        with pytest.raises(errors.AnswerTooLarge, match="more than 1 MiB"):
            await ask()


@pytest.mark.parametrize(
    ("host", "said"), [("127.0.0.1", "connection refused"), ("nobody.invalid", "no such host")], ids=str
)
async def test_a_failed_connection_is_told_in_a_few_words(host: str, said: str) -> None:
    endpoint = client.Endpoint(place=access.place(f"http://{host}:{ports.free_port()}"))
    async with client.connected() as connected:
        with pytest.raises(errors.PrometheusUnavailable, match=f"can't be reached: {said}$"):
            await connected.ask(endpoint, "up", at=build.NOW, timeout=timedelta(seconds=60))
