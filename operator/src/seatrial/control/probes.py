"""What kubelet and Prometheus ask the operator: /healthz and /readyz on one port, /metrics on another.

A server of our own instead of kopf's: kopf runs on the leader only, has no readiness, and its probe says little more
than that the loop turns. Answering at all proves that much here as well; the checks add that work gets done.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

Check = Callable[[], str]
"""What is wrong, in a sentence; nothing when all is well."""


@contextlib.asynccontextmanager
async def serving(
    *, healthy: Check, ready: Check, metrics: Callable[[], bytes], probe_port: int, metrics_port: int
) -> AsyncIterator[None]:
    """Serves both ports while the block runs."""

    async def metrics_text(_: web.Request) -> web.Response:
        # Thousands of series take their time, in which the loop has other things to do.
        text = await asyncio.to_thread(metrics)
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    probes = web.Application()
    probes.router.add_get("/healthz", _answer(healthy))
    probes.router.add_get("/readyz", _answer(ready))
    exposition = web.Application()
    exposition.router.add_get("/metrics", metrics_text)
    async with _site(probes, probe_port), _site(exposition, metrics_port):
        yield


def _answer(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def respond(_: web.Request) -> web.Response:
        wrong = check()
        return web.Response(status=503 if wrong else 200, text=f"{wrong or 'ok'}\n")

    return respond


@contextlib.asynccontextmanager
async def _site(app: web.Application, port: int) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()
