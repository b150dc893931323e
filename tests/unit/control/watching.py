"""An Evidence with real sources: a Prometheus and pods on loopback that do as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import test_utils, web
from tests.contract import eventually
from tests.unit.prometheus import build

from seatrial.control import evidence, queue, sources
from seatrial.prometheus import client, pods
from seatrial.rollout import looking, looks

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
        self, question: looking.Question, until: Callable[[looks.Look], bool] = lambda _: True, *, key: Any = KEY
    ) -> looks.Look:
        def seen() -> looks.Look | None:
            newest = self.evidence.newest(key, question)
            return newest if newest is not None and until(newest) else None

        async def wanted() -> looks.Look | None:
            return seen()

        found = await eventually.eventually(wanted, what="such a look")
        assert found is not None
        return found


@contextlib.asynccontextmanager
async def scene(
    prometheus: Prometheus | None = None, *, pod_port: int = 1, clock: Callable[[], datetime] = now, **policy: Any
) -> AsyncIterator[Scene]:
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
            clock=clock,
        )
        stack.push_async_callback(found.close)
        yield Scene(found, rings, port)
