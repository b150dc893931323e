"""GET /stats: the ledger as JSON. POST /scanner: what rows pass through from now on. GET /healthz: the client runs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from . import scanner
from .ledger import Ledger


@contextlib.asynccontextmanager
async def serving(ledger: Ledger, *, through: scanner.Scanner, port: int) -> AsyncIterator[int]:
    """Serve on all interfaces; gives the port, which the system chooses when `port` is 0."""

    async def stats(_: web.Request) -> web.Response:
        return web.json_response(ledger.as_dict())

    async def set_scanner(request: web.Request) -> web.Response:
        try:
            through.state = msgspec.json.decode(await request.read(), type=scanner.State)
        except msgspec.DecodeError as error:
            return web.Response(status=400, text=f"{error}\n")
        return web.Response(body=msgspec.json.encode(through.state), content_type="application/json")

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    application = web.Application()
    application.add_routes([web.get("/stats", stats), web.post("/scanner", set_scanner), web.get("/healthz", healthz)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, port=port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
