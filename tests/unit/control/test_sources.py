"""Who may be asked, as whom, and how many at once."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import threading
import tracemalloc
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import test_utils, web
from tests.unit.prometheus import build

from seatrial.api.base import SecretReference
from seatrial.api.spec import PrometheusSource
from seatrial.control import sources
from seatrial.prometheus import access, client, errors, pods

SECRET = {
    "metadata": {"labels": {"seatrial.dev/prometheus-credentials": "true"}},
    "data": {"token": base64.b64encode(b"of the object").decode()},
}
NOISE = b" " * 2**16
OF_THE_OBJECT = PrometheusSource(secret_ref=SecretReference(name="prom"))


class Prometheus:
    """Remembers who asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.size = 0  # of an answer that makes no sense

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.headers.get("Authorization", "nobody"))
        if self.size:
            endless = web.StreamResponse()
            await endless.prepare(request)
            with contextlib.suppress(ConnectionError):
                for _ in range(self.size // len(NOISE)):
                    await endless.write(NOISE)
            return endless
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": []}})


@contextlib.asynccontextmanager
async def scene(
    *, secret: Mapping[str, Any] | None = None, own: dict[str, Any] | None = None, **policy: Any
) -> AsyncIterator[tuple[sources.Sources, Prometheus, str]]:
    prometheus = Prometheus()
    app = web.Application()
    app.router.add_post("/api/v1/query", prometheus.answer)

    async def secrets(namespace: str, name: str) -> Mapping[str, Any] | None:
        assert (namespace, name) == ("shop", "prom")
        return secret

    async with test_utils.TestServer(app) as server, client.connected() as asked, pods.connected() as direct:
        url = str(server.make_url("")).rstrip("/")
        chosen = sources.Policy(own=sources.Own(**({"url": url} | (own or {}))), **policy)
        origin = sources.Sources(asked, direct, policy=chosen, secrets=secrets)
        yield origin, prometheus, url
        origin.close()


async def ask(origin: sources.Sources, prometheus: PrometheusSource | None = None) -> None:
    await origin.vector(build.question(prometheus=prometheus), "up", at=build.NOW)


async def test_the_operators_own_credentials_go_to_its_own_prometheus(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of the operator\n")
    async with scene(own={"files": {"token": str(tmp_path / "token")}}) as (origin, prometheus, _):
        await ask(origin)
    assert prometheus.asked == ["Bearer of the operator"]


async def test_they_never_go_to_a_url_that_an_object_names(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of the operator")
    async with scene(own={"files": {"token": str(tmp_path / "token")}}) as (origin, prometheus, url):
        await ask(origin, PrometheusSource(url=url))
    assert prometheus.asked == ["nobody"]


async def test_a_rotated_token_is_used_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "RELOAD_SECONDS", 0.0)
    file = tmp_path / "token"
    async with scene(own={"files": {"token": str(file)}}) as (origin, prometheus, _):
        for token in ("one", "two"):
            file.write_text(token)
            await ask(origin)
    assert prometheus.asked == ["Bearer one", "Bearer two"]


async def test_an_objects_secret_is_sent_where_the_object_asks() -> None:
    async with scene(secret=SECRET, secret_names=frozenset({"prom"})) as (origin, prometheus, url):
        await ask(origin, OF_THE_OBJECT)
        await ask(origin, PrometheusSource(url=url, secret_ref=OF_THE_OBJECT.secret_ref))
    assert prometheus.asked == ["Bearer of the object"] * 2


@pytest.mark.parametrize(
    ("secret", "listed", "said"),
    [
        (SECRET, (), "--prometheus-secret-name must list it"),
        (None, ("prom",), "does not exist"),
        ({**SECRET, "metadata": {}}, ("prom",), "must have the label"),
    ],
    ids=["not listed", "missing", "not opted in"],
)
async def test_a_secret_that_is_not_for_this_is_not_used(secret: Any, listed: tuple[str, ...], said: str) -> None:
    async with scene(secret=secret, secret_names=frozenset(listed)) as (origin, prometheus, _):
        with pytest.raises(errors.PrometheusRefused, match=said):
            await ask(origin, OF_THE_OBJECT)
    assert prometheus.asked == []


async def test_without_any_prometheus_the_message_says_where_to_name_one() -> None:
    async with scene(own={"url": ""}) as (origin, _, _):
        assert not origin.configured(build.question())
        with pytest.raises(errors.PrometheusRefused, match=r"spec\.analysis\.prometheus\.url"):
            await ask(origin)


async def test_an_objects_url_is_held_to_the_allow_list() -> None:
    async with scene(allow=(access.allowed("127.0.0.9"),)) as (origin, _, _):
        with pytest.raises(errors.PrometheusRefused, match="--prometheus-allow"):
            await ask(origin, PrometheusSource(url="http://127.0.0.8:1"))


async def test_a_file_that_is_missing_is_named_and_its_content_is_not() -> None:
    async with scene(own={"files": {"token": "/nowhere/token"}}) as (origin, _, _):
        with pytest.raises(errors.PrometheusRefused, match="file for token"):
            await ask(origin)


async def holding(
    turns: sources.Turns, namespace: str, host: str, *, until: asyncio.Event, patience: float = 60
) -> None:
    async with turns.of(namespace, host, timeout=timedelta(seconds=patience)):
        await until.wait()


async def test_a_host_that_hangs_keeps_only_its_own_askers_waiting() -> None:
    turns, done = sources.Turns(), asyncio.Event()
    askers = [
        asyncio.create_task(holding(turns, f"n{number}", "hangs", until=done, patience=0.2))
        for number in range(sources.AT_ONCE_A_HOST + 4)
    ]
    await asyncio.wait(askers[sources.AT_ONCE_A_HOST :])
    assert [type(one.exception()) for one in askers[sources.AT_ONCE_A_HOST :]] == [TimeoutError] * 4
    async with turns.of("other", "answers", timeout=timedelta(seconds=0.1)):
        done.set()
    await asyncio.gather(*askers[: sources.AT_ONCE_A_HOST])
    assert turns._some == {}


async def test_a_namespace_with_many_hosts_leaves_room_for_others() -> None:
    turns, done = sources.Turns(), asyncio.Event()
    askers = [asyncio.create_task(holding(turns, "greedy", f"h{number}", until=done)) for number in range(64)]
    await asyncio.sleep(0)
    async with turns.of("modest", "h", timeout=timedelta(seconds=0.1)):
        done.set()
    await asyncio.gather(*askers)


async def test_a_namespace_with_much_to_compute_leaves_a_thread_to_others() -> None:
    done = threading.Event()
    async with scene() as (origin, _, _):
        greedy = [asyncio.create_task(origin.computed("greedy", done.wait)) for _ in range(64)]
        await asyncio.sleep(0)
        try:
            assert await asyncio.wait_for(origin.computed("modest", lambda: "counted"), 60) == "counted"
        finally:
            done.set()
        assert await asyncio.gather(*greedy) == [True] * 64


@pytest.mark.long
async def test_answers_without_end_cost_a_namespace_no_more_than_its_turns_hold() -> None:
    async with scene() as (origin, prometheus, _):
        prometheus.size = 16 * client.BODY_LIMIT
        tracemalloc.start()
        try:
            asked = [asyncio.create_task(ask(origin)) for _ in range(32)]
            await asyncio.wait(asked)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert {type(one.exception()) for one in asked} == {errors.AnswerTooLarge}
    assert peak < 2 * sources.AT_ONCE_A_NAMESPACE * client.BODY_LIMIT
