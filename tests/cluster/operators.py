"""The operator as a process of this machine in front of the test cluster, in place of the installed one.

It has the installed one's settings, lease and rights: a token of its service account. Between it and the API server
stands a proxy that can end it at a write, before the API server has it or after, as no signal from outside can; and it
is there again within two seconds, where a pod waits longer from crash to crash. It goes to pods and to Prometheus by
itself, so the cluster has to run on this machine.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import yarl
from aiohttp import web
from tests.cluster import installation
from tests.cluster.harness import errors, ports, waiting

NAME = "seatrial"
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
NO_WRITES = ("/leases/", "/apis/authorization.k8s.io/")
"""A lease is renewed as long as nothing happens; to ask for one's rights changes nothing."""
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "host", "content-length", "authorization"})
SAME = 3


class Death(NamedTuple):
    """Of one process: at its so manieth write, which the API server gets (`written`) or does not."""

    at: int
    written: bool


class Mortal:
    """The process, started again whenever it has died. `deaths` are those to come: one for each process, then none."""

    def __init__(self, deaths: Iterator[Death], environment: dict[str, str], log: Path) -> None:
        self._deaths, self._environment, self._log = deaths, environment, log
        self._process: subprocess.Popen[bytes] | None = None
        self._next: Death | None = None
        self._written = 0
        self._at: list[str] = []
        self._turn = threading.Lock()
        """Of the proxy, which ends and starts the process, and of the test, which ends it for good."""
        self._over = False
        self.died: list[str] = []
        """The writes at which it died."""
        self.writes: list[str] = []
        """All that the API server got, or would have got."""

    def start(self) -> None:
        if self._over:
            return
        self._next, self._written = next(self._deaths, None), 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "seatrial"], env=self._environment, stdout=log, stderr=log
            )

    def end(self) -> None:
        """For good: it is not started again, whatever it was about to write."""
        with self._turn:
            self._over = True
            self._kill()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def write(self, what: str) -> Death | None:
        """Counts a write; the death that comes at it. Where three have died at the same one after another, nobody does:
        figures of a step come with every look, and a rollout that is not seen for long goes back by design.
        """
        self.writes.append(what)
        if self._at[-SAME:] == [what] * SAME:
            return None
        self._written += 1
        return self._next if self._next is not None and self._written == self._next.at else None

    def die(self, what: str, *, came_to: str = "nothing") -> None:
        self._at.append(what)
        self.died.append(f"{what}: {came_to}")
        with self._turn:
            self._kill()
            self.start()


class Proxy:
    """Passes everything on to the API server, as the operator's service account."""

    def __init__(self, mortal: Mortal, server: str, *, authority: str, token: str) -> None:
        self._mortal, self._server, self._token = mortal, server, token
        self._tls = ssl.create_default_context(cadata=authority)
        self._session: aiohttp.ClientSession | None = None

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """The port, on loopback."""
        application = web.Application(client_max_size=2**25)
        application.router.add_route("*", "/{rest:.*}", self._pass_on)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        connector, timeout = aiohttp.TCPConnector(ssl=self._tls, limit=0), aiohttp.ClientTimeout(total=None)
        try:
            async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
                self._session = session
                await web.TCPSite(runner, host="127.0.0.1", port=0).start()
                yield runner.addresses[0][1]
        finally:
            await runner.cleanup()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        body = await request.read()
        what = f"{request.method} {request.path}"
        death = self._mortal.write(what) if _writes(request) else None
        if death is not None and not death.written:
            return self._end(request, what)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        headers["Authorization"] = f"Bearer {self._token}"
        url = yarl.URL(f"{self._server}{request.raw_path}", encoded=True)
        async with self._session.request(request.method, url, headers=headers, data=body or None) as answer:
            if death is not None:
                await answer.read()
                return self._end(request, what, came_to=str(answer.status))
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            with contextlib.suppress(ConnectionResetError):  # it has died, or wants no more of a watch
                await response.prepare(request)
                async for part in answer.content.iter_any():
                    await response.write(part)
            return response

    def _end(self, request: web.Request, what: str, *, came_to: str = "nothing") -> web.StreamResponse:
        self._mortal.die(what, came_to=came_to)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)


def _writes(request: web.Request) -> bool:
    return request.method in WRITES and not any(part in f"{request.path}/" for part in NO_WRITES)


@contextlib.contextmanager
def in_its_place(
    platform: installation.Platform,
    *,
    namespace: str,
    folder: Path,
    deaths: Iterable[Death] = (),
    **settings: str,
) -> Iterator[Mortal]:
    """The operator of one namespace until the end of the block; afterwards the installed one is back.

    `settings` are environment variables; `folder` takes its log and kubeconfig.
    """
    with _without_the_installed_one(platform) as environment:
        environment |= {"SEATRIAL_NAMESPACES": namespace, "KUBECONFIG": str(folder / "kubeconfig"), **settings}
        mortal = Mortal(iter(deaths), {**os.environ, **environment}, folder / "operator.log")
        with _proxied(platform, mortal, folder / "kubeconfig"):
            mortal.start()
            try:
                yield mortal
            finally:
                mortal.end()


@contextlib.contextmanager
def _without_the_installed_one(platform: installation.Platform) -> Iterator[dict[str, str]]:
    """What it is told by its environment."""
    kubectl, space = platform.cluster.kubectl, installation.SYSTEM
    deployment = platform.get("deployment", NAME, space)
    if deployment is None:
        raise errors.HarnessError(f"there is no Deployment {NAME} in {space}")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    kubectl("scale", f"deployment/{NAME}", "-n", space, "--replicas=0")
    selector = f"app.kubernetes.io/name={NAME}"
    try:
        waiting.until(lambda: not platform.list("pods", space, selector), what="the installed one gone", seconds=120)
        probe, metrics = ports.free(2)
        own = {"SEATRIAL_PROBE_PORT": str(probe), "SEATRIAL_METRICS_PORT": str(metrics)}
        yield {**told, **own, "POD_NAME": "of-a-test", "POD_NAMESPACE": space}
    finally:
        kubectl("scale", f"deployment/{NAME}", "-n", space, f"--replicas={deployment['spec']['replicas']}")
        kubectl("rollout", "status", f"deployment/{NAME}", "-n", space, "--timeout=110s")


@contextlib.contextmanager
def _proxied(platform: installation.Platform, mortal: Mortal, kubeconfig: Path) -> Iterator[None]:
    kubectl = platform.cluster.kubectl
    view: dict[str, Any] = json.loads(kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
    (cluster,) = (one["cluster"] for one in view["clusters"])
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    token = kubectl("create", "token", NAME, "-n", installation.SYSTEM, "--duration=2h").strip()
    proxy = Proxy(mortal, cluster["server"], authority=authority, token=token)
    loop, port, over = asyncio.new_event_loop(), list[int](), asyncio.Event()

    async def serve() -> None:
        async with proxy.serving() as own:
            port.append(own)
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        waiting.until(lambda: bool(port), what="the proxy", seconds=60)
        kubeconfig.write_text(json.dumps(_config(f"http://127.0.0.1:{port[0]}")))
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def _config(server: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
