"""GET /stats: the ledger as JSON. GET /healthz: the client runs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from .ledger import Ledger


@contextlib.asynccontextmanager
async def serving(ledger: Ledger, *, port: int) -> AsyncIterator[int]:
    """Serve on all interfaces; gives the port, which the system chooses when `port` is 0."""

    async def stats(_: web.Request) -> web.Response:
        return web.json_response(ledger.as_dict())

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    application = web.Application()
    application.add_routes([web.get("/stats", stats), web.get("/healthz", healthz)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, port=port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
