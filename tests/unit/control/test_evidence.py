"""Evidence beside the loop, against real sockets: a Prometheus and pods in this process that do as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import test_utils, web
from tests.contract import eventually
from tests.unit.prometheus import build

from seatrial.control import evidence, queue, sources
from seatrial.prometheus import client, pods
from seatrial.rollout import looking

KEY = queue.Key("shop", "churn")


def now() -> datetime:
    return datetime.now(UTC)


class Prometheus:
    """Two pods at ten requests a second since an hour, scraped every second."""

    def __init__(self) -> None:
        self.hangs = False
        self.ended = asyncio.Event()
        self.errors = 0.0  # of the candidate
        self.born = time.time() - 60
        self.warnings: list[str] = []
        self.largest = 10**9  # seconds that fit in an answer
        self.windows: list[float] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        if self.hangs:
            await self.ended.wait()
        window = float(str(form["query"]).rpartition("[")[2].removesuffix("ms]")) / 1000
        self.windows.append(window)
        if window > self.largest:
            return web.Response(body=b" " * (client.BODY_LIMIT + 1))
        until = float(str(form["time"]))
        result = [
            {"metric": dict(raw.labels), "values": [[at, str(value)] for at, value in raw.samples]}
            for raw in self.series(until - window, until)
        ]
        data = {"resultType": "matrix", "result": result}
        return web.json_response({"status": "success", "data": data, "warnings": self.warnings or None})

    def series(self, since: float, until: float) -> list[Any]:
        base = build.NOW.timestamp()
        found = []
        for revision, pod, errors in (("s1", "a", 0.0), ("c1", "b", self.errors)):
            first = self.born - base
            rows = build.scrapes(
                revision, until=until - base, since=first, every=1.0, errors=errors, namespace="shop", pod=pod
            )
            for raw in rows:
                kept = [one for one in raw.samples if since < one[0] <= until]
                if kept:
                    found.append(type(raw)(labels=raw.labels, samples=kept))
        return found


class Pod:
    """/metrics of a pod that has answered ten requests a second since it was made."""

    def __init__(self, revision: str) -> None:
        self.revision = revision
        self.errors = 0.0
        self.since = time.time()
        self.refuses = False

    async def metrics(self, _: web.Request) -> web.StreamResponse:
        if self.refuses:
            return web.Response(status=403)
        total = round((time.time() - self.since) * 100)
        labels = f'deployment="churn",deployment_namespace="shop",revision="{self.revision}"'
        shares = {"ok": 1 - self.errors, "error": self.errors, "degraded": 0, "rejected": 0, "shed": 0}
        lines = [
            f'seatrial_requests_total{{{labels},transport="rest",outcome="{outcome}"}} {round(total * share)}'
            for outcome, share in shares.items()
        ]
        lines += [f'seatrial_request_duration_seconds_bucket{{{labels},le="{le}"}} {total}' for le in ("0.1", "+Inf")]
        return web.Response(text="\n".join(["# HELP x y", *lines, "other_total 1", ""]))


@contextlib.asynccontextmanager
async def prometheus_at(prometheus: Prometheus, host: str = "127.0.0.1") -> AsyncIterator[int]:
    async with served("/api/v1/query", prometheus.answer, host=host) as port:
        yield port
        prometheus.ended.set()


@contextlib.asynccontextmanager
async def served(path: str, handler: Any, *, host: str = "127.0.0.1", port: int | None = None) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_route("*", path, handler)
    async with test_utils.TestServer(app, host=host, port=port) as server:
        assert server.port is not None
        yield server.port


class Scene:
    """An Evidence with its sources, and the bell it rings."""

    def __init__(self, found: evidence.Evidence, rings: list[queue.Key], port: int) -> None:
        self.evidence = found
        self.rings = rings
        self.port = port

    async def look(
        self, question: looking.Question, until: Callable[[looking.Look], bool] = lambda _: True, *, key: Any = KEY
    ) -> looking.Look:
        def seen() -> looking.Look | None:
            newest = self.evidence.newest(key, question)
            return newest if newest is not None and until(newest) else None

        async def wanted() -> looking.Look | None:
            return seen()

        found = await eventually.eventually(wanted, what="such a look")
        assert found is not None
        return found


@contextlib.asynccontextmanager
async def scene(prometheus: Prometheus | None = None, *, pod_port: int = 1, **policy: Any) -> AsyncIterator[Scene]:
    async with contextlib.AsyncExitStack() as stack:
        port = 0
        if prometheus is not None:
            port = await stack.enter_async_context(prometheus_at(prometheus))
            policy["own"] = sources.Own(url=f"http://127.0.0.1:{port}")

        async def no_secret(namespace: str, name: str) -> None:
            return None

        rings: list[queue.Key] = []
        found = evidence.Evidence(
            sources.Sources(
                await stack.enter_async_context(client.connected()),
                await stack.enter_async_context(pods.connected(port=pod_port)),
                policy=sources.Policy(**policy),
                secrets=no_secret,
            ),
            ring=rings.append,
            clock=now,
        )
        stack.push_async_callback(found.close)
        yield Scene(found, rings, port)


def question(**changes: Any) -> looking.Question:
    """A window of 40 s; the pods have no address yet, so that only Prometheus can tell of them."""
    pods_ = (build.pod("a", build.STABLE), build.pod("b", build.CANDIDATE))
    young = {"since": now() - timedelta(seconds=40), "interval": "1s", "pods": pods_}
    return build.question(**{**young, **changes})


async def test_a_look_comes_by_itself_and_rings() -> None:
    async with scene(Prometheus()) as there:
        asked = question()
        assert there.evidence.newest(KEY, asked) is None
        look = await there.look(asked, lambda one: not one.blind)
        assert (look.source, look.outcome) == ("Prometheus", "Pass")
        assert look.candidate_requests > 300
        assert there.rings[0] == KEY


async def test_a_regression_is_found_and_stands_when_prometheus_hangs_afterwards() -> None:
    prometheus = Prometheus()
    prometheus.errors = 0.5
    async with scene(prometheus) as there:
        asked = question()
        look = await there.look(asked, lambda one: one.failed)
        prometheus.hangs = True
        assert there.evidence.newest(KEY, asked) == look


async def test_only_what_is_new_is_asked_for_again() -> None:
    prometheus = Prometheus()
    async with scene(prometheus) as there:
        asked = question()
        first = await there.look(asked)
        await there.look(asked, lambda one: one.at > first.at)
        await there.look(asked, lambda one: one.at > first.at + timedelta(seconds=1.5))
    assert max(prometheus.windows) > 1800
    assert all(window < 70 for window in prometheus.windows[-2:])


async def test_a_stretch_that_does_not_fit_is_asked_for_in_pieces() -> None:
    prometheus = Prometheus()
    prometheus.largest = 1000
    async with scene(prometheus) as there:
        look = await there.look(question(), lambda one: not one.blind)
        assert look.candidate_requests > 300


async def test_a_partial_answer_passes_nothing_and_is_quoted() -> None:
    prometheus = Prometheus()
    prometheus.warnings = ["results truncated due to limit"]
    async with scene(prometheus) as there:
        look = await there.look(question())
        assert look.outcome == "NoData"
        assert "results truncated due to limit" in look.message


async def test_another_window_forgets_the_look_and_no_question_ends_the_watch() -> None:
    async with scene(Prometheus()) as there:
        asked = question()
        await there.look(asked)
        assert there.evidence.newest(KEY, msgspec.structs.replace(asked, attempt=2)) is None
        assert there.evidence.newest(KEY, None) is None
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("evidence of")] or (
            await eventually.eventually(no_watches, what="the watch's end")
        )


async def no_watches() -> bool:
    return not [task for task in asyncio.all_tasks() if task.get_name().startswith("evidence of")]


async def test_sixteen_rollouts_on_a_hanging_prometheus_delay_nobody() -> None:
    healthy, hanging = Prometheus(), Prometheus()
    hanging.hangs = True
    async with scene(healthy) as there, prometheus_at(hanging, "127.0.0.2") as port:
        url = f"http://127.0.0.2:{port}"
        there.evidence._sources._policy = msgspec.structs.replace(
            there.evidence._sources._policy, allow=(evidence.sources.access.allowed(url),)
        )
        own = evidence_source(url)
        for number in range(16):
            asked = question(namespace=f"n{number % 4}", name=f"stuck{number}", prometheus=own, interval="10s")
            assert there.evidence.newest(queue.Key(f"n{number % 4}", f"stuck{number}"), asked) is None
        began = time.monotonic()
        asked = question()
        look = await there.look(asked, lambda one: not one.blind)
        assert look.passed
        assert time.monotonic() - began < 2
        began = time.monotonic()
        for number in range(16):
            there.evidence.newest(queue.Key("shop", f"stuck{number}"), None)
        assert time.monotonic() - began < 0.1


def evidence_source(url: str) -> Any:
    from seatrial.api.spec import PrometheusSource

    return PrometheusSource(url=url)


async def test_a_prometheus_that_hangs_makes_the_look_an_error_after_one_interval() -> None:
    prometheus = Prometheus()
    prometheus.hangs = True
    async with scene(prometheus) as there:
        look = await there.look(question())
        assert look.outcome == "Error"
        assert "did not answer within" in look.message


@contextlib.asynccontextmanager
async def two_pods() -> AsyncIterator[tuple[Pod, Pod, int]]:
    """Stable and candidate on two loopback addresses, on one port as in a cluster."""
    stable, candidate = Pod("s1"), Pod("c1")
    async with (
        served("/metrics", stable.metrics, host="127.0.0.11") as port,
        served("/metrics", candidate.metrics, host="127.0.0.12", port=port),
    ):
        yield stable, candidate, port


def on_loopback(**changes: Any) -> looking.Question:
    """The pods started a moment ago, the window with them."""
    born = now() - timedelta(seconds=1)
    both = (
        build.pod("a", build.STABLE, ip="127.0.0.11", started=born),
        build.pod("b", build.CANDIDATE, ip="127.0.0.12", started=born),
    )
    return build.question(**{"since": now(), "interval": "15s", "pods": both, **changes})


async def test_pods_alone_guard_a_rollout_second_by_second() -> None:
    async with two_pods() as (_, candidate, port), scene(pod_port=port) as there:
        asked = on_loopback()
        look = await there.look(asked, lambda one: one.candidate_requests > 0)
        assert (look.source, look.blind) == ("Pods", False)
        assert {slot.seconds for slot in look.slots} == {1.0}
        began = time.monotonic()
        candidate.errors = 1.0
        candidate.since = time.time() - 2 * (time.time() - candidate.since)
        look = await there.look(asked, lambda one: one.failed)
        assert look.message.endswith("metrics from Pods")
        assert time.monotonic() - began < 5


async def test_pods_carry_on_alone_while_prometheus_hangs() -> None:
    prometheus = Prometheus()
    prometheus.hangs = True
    async with two_pods() as (_, _, port), scene(prometheus, pod_port=port) as there:
        look = await there.look(on_loopback(interval="1s"), lambda one: "did not answer" in one.message)
        assert (look.blind, look.source) == (False, "Pods")


async def test_pods_that_may_not_be_read_are_a_clear_sentence() -> None:
    async with two_pods() as (stable, candidate, port), scene(pod_port=port) as there:
        stable.refuses = candidate.refuses = True
        look = await there.look(on_loopback(), lambda one: one.blind)
        assert look.outcome == "NoData"
        assert "2 of 2 pods can't be read directly: b: it answered 403" in look.message
        assert "no Prometheus is configured" in look.message


async def test_what_nobody_listens_on_names_the_network_policy(unused_tcp_port: int) -> None:
    async with scene(pod_port=unused_tcp_port) as there:
        look = await there.look(on_loopback(), lambda one: one.blind)
        assert "connection refused; a NetworkPolicy must let the operator reach port 8082" in look.message


@pytest.mark.parametrize("url", ["http://169.254.169.254", "http://p.shop.svc/?x"], ids=str)
async def test_a_url_that_may_not_be_asked_is_misconfigured(url: str) -> None:
    async with scene() as there:
        look = await there.look(question(prometheus=evidence_source(url)))
        assert (look.outcome, look.misconfigured) == ("Error", True)
        assert "spec.analysis.prometheus.url" in look.message
