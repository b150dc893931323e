"""What the operator costs with a thousand objects at rest, and whether a crowd of new ones delays anybody.

The real operator process against a real API server on loopback, without a node and without controllers. Requests are
those that the API server counted for the operator's service account, watches included.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import itertools
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import click
import rich.console
import rich.table
from tests.bench import crowd
from tests.cluster.harness import apiserver, control, paths, ports, waiting
from tests.contract import established

from seatrial.api import crd
from seatrial.cluster import kubernetes, rest

NAMESPACES = 10
SA = "bench-operator"
ROLLBACKS = 20
CHANGES = 150
_COUNTED = re.compile(
    r'^apiserver_flowcontrol_dispatched_requests_total\{flow_schema="service-accounts".*\} (\S+)$', re.M
)


@dataclasses.dataclass
class Figures:
    """What was measured; seconds, MiB, requests."""

    ready: float = 0.0
    start_requests: float = 0.0
    idle_rate: float = 0.0
    idle_cpu: float = 0.0
    peak_rate: float = 0.0
    resident: float = 0.0
    resident_after: float = 0.0
    storm_seconds: float = 0.0
    storm_requests: float = 0.0
    changes: list[float] = dataclasses.field(default_factory=list)
    rollbacks: list[float] = dataclasses.field(default_factory=list)


@click.command()
@click.option("--objects", default=1000, show_default=True, help="Objects at rest.")
@click.option("--new", default=500, show_default=True, help="Objects created while specs change.")
@click.option("--idle", default=180, show_default=True, help="Seconds of rest that are measured.")
@click.option("--namespaced", is_flag=True, help="One watch for each namespace.")
def command(objects: int, new: int, idle: int, namespaced: bool) -> None:
    """Requests, memory and delay of the operator with many objects."""
    with apiserver.running() as api:
        figures = asyncio.run(_measure(api, objects=objects, new=new, idle=idle, namespaced=namespaced))
    _report(figures, objects=objects, new=new)


async def _measure(api: apiserver.ApiServer, *, objects: int, new: int, idle: int, namespaced: bool) -> Figures:
    names = _prepare(api)
    os.environ["KUBECONFIG"] = str(api.kubeconfig)
    figures = Figures()
    async with _cluster() as cluster:
        at_rest = [(names[n % NAMESPACES], f"rest-{n:04}") for n in range(objects)]
        rolling = [(names[n % NAMESPACES], f"roll-{n:04}") for n in range(ROLLBACKS)]
        began = time.monotonic()
        await (await crowd.Copies.of(await crowd.Stage(cluster, "first").at_rest())).make(at_rest)
        await (await crowd.Copies.of(await crowd.Stage(cluster, "second").starting())).make(rolling)
        click.echo(f"{objects} objects made in {time.monotonic() - began:.0f} s")
        with _operator(api, namespaces=names if namespaced else ()) as operator:
            await _rest(api, operator, figures, idle)
            click.echo(f"at rest: {figures}")
            await _storm(api, cluster, operator, figures, at_rest=at_rest, rolling=rolling, new=new, names=names)
    return figures


def _prepare(api: apiserver.ApiServer) -> list[str]:
    """The kind, namespaces, a service account for the operator; nobody else works in this cluster."""
    api.kubectl("apply", "-f", str(paths.REPO / "crds" / f"{crd.NAME}.yaml"))
    established.until_established(api)
    names = [f"crowd-ns-{number}" for number in range(NAMESPACES)]
    for name in (*names, "first", "second"):
        api.kubectl("create", "namespace", name)
        waiting.until(functools.partial(_has_account, api, name), what="service account", seconds=60)
    control.Switch(api.kubeconfig.parent.parent / "control", "kube-controller-manager").stop()
    api.kubectl("create", "serviceaccount", SA, "-n", "default")
    api.kubectl("create", "clusterrolebinding", SA, "--clusterrole=cluster-admin", f"--serviceaccount=default:{SA}")
    return names


def _has_account(api: apiserver.ApiServer, namespace: str) -> bool:
    return "default" in api.kubectl("get", "sa", "-n", namespace)


@contextlib.asynccontextmanager
async def _cluster() -> AsyncIterator[crowd.Kubelet]:
    transport = rest.Rest(await rest.configuration(), timeout=60)
    try:
        yield crowd.Kubelet(transport)
    finally:
        await transport.close()


class Operator:
    """The running process and its metrics."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/metrics"

    def metrics(self) -> dict[str, float]:
        """Those without labels; none while it doesn't answer."""
        try:
            with urllib.request.urlopen(self._url, timeout=20) as response:
                text = response.read().decode()
        except OSError:
            return {}
        return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)}


@contextlib.contextmanager
def _operator(api: apiserver.ApiServer, *, namespaces: list[str] | tuple[str, ...]) -> Iterator[Operator]:
    config = json.loads(api.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
    config["users"][0]["user"] = {"token": api.kubectl("create", "token", SA, "-n", "default").strip()}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kubeconfig"
        file.write_text(json.dumps(config))
        probe, metrics = ports.free(2)
        flags = {
            "serving-image": crowd.IMAGE,
            "pod-name": "bench",
            "pod-namespace": "default",
            "probe-port": str(probe),
            "metrics-port": str(metrics),
            "namespaces": ",".join(namespaces),
            "log-level": "warning",
        }
        argv = [sys.executable, "-m", "seatrial", *(f"--{key}={value}" for key, value in flags.items())]
        with subprocess.Popen(argv, env={**os.environ, "KUBECONFIG": str(file)}, cwd=paths.REPO) as process:
            try:
                yield Operator(metrics)
            finally:
                process.terminate()
                process.wait(20)


def _requests(api: apiserver.ApiServer) -> float:
    return sum(float(one) for one in _COUNTED.findall(api.kubectl("get", "--raw", "/metrics")))


async def _rest(api: apiserver.ApiServer, operator: Operator, figures: Figures, seconds: int) -> None:
    """From the start until every object was looked at once; then rest, a first resync among it."""
    began, before = time.monotonic(), _requests(api)
    quiet = 0
    while quiet < 2:
        await asyncio.sleep(2)
        quiet = quiet + 1 if _settled(operator.metrics()) else 0
        if time.monotonic() - began > 900:
            raise TimeoutError("the operator never comes to rest")
    figures.ready = time.monotonic() - began - 2 * quiet
    figures.start_requests = _requests(api) - before
    at_first, counted, start = operator.metrics(), [_requests(api)], time.monotonic()
    while time.monotonic() - start < seconds:
        await asyncio.sleep(5)
        counted.append(_requests(api))
    passed, at_last = time.monotonic() - start, operator.metrics()
    figures.idle_rate = (counted[-1] - counted[0]) / passed
    figures.idle_cpu = (at_last["process_cpu_seconds_total"] - at_first["process_cpu_seconds_total"]) / passed
    figures.peak_rate = max((two - one) / 5 for one, two in itertools.pairwise(counted))
    figures.resident = at_last["process_resident_memory_bytes"] / 2**20


def _settled(metrics: dict[str, float]) -> bool:
    """It leads, and only rollouts wait for their next look."""
    looked = metrics.get("seatrial_reconcile_duration_seconds_count", 0.0)
    return metrics.get("seatrial_leader") == 1 and looked > 0 and metrics["seatrial_queue_depth"] <= 2 * ROLLBACKS


async def _storm(
    api: apiserver.ApiServer,
    cluster: crowd.Kubelet,
    operator: Operator,
    figures: Figures,
    *,
    at_rest: list[tuple[str, str]],
    rolling: list[tuple[str, str]],
    new: int,
    names: list[str],
) -> None:
    before, began = _requests(api), time.monotonic()
    seen = _Seen()
    watching = asyncio.create_task(seen.watch(await rest.configuration()))
    await seen.started.wait()
    making = asyncio.create_task(_create(cluster, [(names[n % NAMESPACES], f"new-{n:04}") for n in range(new)]))
    await asyncio.gather(
        _change(cluster, seen, at_rest[:CHANGES], figures.changes, pause=0.1),
        _abort(cluster, seen, rolling, figures.rollbacks, pause=0.7),
        making,
    )
    await seen.until(lambda: all(seen.observed.get((names[n % NAMESPACES], f"new-{n:04}"), -1) > 0 for n in range(new)))
    figures.storm_seconds = time.monotonic() - began
    figures.storm_requests = _requests(api) - before
    figures.resident_after = operator.metrics()["process_resident_memory_bytes"] / 2**20
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


class _Seen:
    """Status of every object as a watch of our own sees it."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.changed = asyncio.Event()
        self.observed: dict[tuple[str, str], int] = {}
        self.candidates: set[tuple[str, str]] = set()

    async def watch(self, settings: Any) -> None:
        """The API server drops a watcher that is too slow; it begins anew then, with everything there is."""
        async with aiohttp.ClientSession() as session:
            url = f"{settings.host}/apis/seatrial.dev/v1alpha1/modeldeployments?watch=true"
            context, limits = _tls(settings), aiohttp.ClientTimeout(total=None)
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(url, ssl=context, timeout=limits, read_bufsize=2**22) as response:
                        self.started.set()
                        async for line in response.content:
                            self._take(json.loads(line)["object"])

    def _take(self, raw: Any) -> None:
        name = raw["metadata"]["namespace"], raw["metadata"]["name"]
        status = raw.get("status") or {}
        self.observed[name] = status.get("observedGeneration", 0)
        (self.candidates.add if "candidate" in status else self.candidates.discard)(name)
        self.changed.set()

    async def until(self, condition: Any, *, seconds: float = 300) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


def _tls(settings: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
    context.load_cert_chain(settings.cert_file, settings.key_file)
    return context


async def _create(cluster: kubernetes.KubernetesCluster, wanted: list[tuple[str, str]]) -> None:
    limit = asyncio.Semaphore(8)

    async def one(namespace: str, name: str) -> None:
        async with limit:
            await cluster.create(crowd.model_deployment(name, namespace))

    await asyncio.gather(*(one(*name) for name in wanted))


async def _change(
    cluster: kubernetes.KubernetesCluster, seen: _Seen, names: list[tuple[str, str]], took: list[float], *, pause: float
) -> None:
    async def one(namespace: str, name: str) -> None:
        raw = await cluster.get("ModelDeployment", namespace, name)
        assert raw is not None
        raw["spec"]["replicas"] = 3
        written = await cluster.replace(raw)
        began, wanted = time.monotonic(), written["metadata"]["generation"]
        await seen.until(lambda: seen.observed.get((namespace, name), 0) >= wanted)
        took.append(time.monotonic() - began)

    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(one(*name))
            await asyncio.sleep(pause)


async def _abort(
    cluster: kubernetes.KubernetesCluster, seen: _Seen, names: list[tuple[str, str]], took: list[float], *, pause: float
) -> None:
    for namespace, name in names:
        await asyncio.sleep(pause)
        seen.candidates.add((namespace, name))
        raw = await cluster.get("ModelDeployment", namespace, name)
        assert raw is not None
        raw["metadata"].setdefault("annotations", {})["seatrial.dev/abort"] = "bench"
        with contextlib.suppress(Exception):
            await cluster.replace(raw)
        began = time.monotonic()
        await seen.until(lambda name=(namespace, name): name not in seen.candidates)
        took.append(time.monotonic() - began)


def _report(figures: Figures, *, objects: int, new: int) -> None:
    changes, rollbacks = sorted(figures.changes), sorted(figures.rollbacks)
    late = changes[min(len(changes) - 1, int(len(changes) * 0.99))]
    rows = (
        (f"first look at all {objects}, s", figures.ready, None),
        ("requests until then", figures.start_requests, None),
        ("requests/s at rest, a resync included", figures.idle_rate, 5.0),
        ("requests/s, worst 5 s", figures.peak_rate, 30.0),
        ("CPU at rest, cores", figures.idle_cpu, None),
        ("resident, MiB", figures.resident, 300.0),
        (f"resident after {new} more, MiB", figures.resident_after, None),
        (f"{new} new objects all looked at, s", figures.storm_seconds, None),
        ("requests in that time", figures.storm_requests, None),
        ("a changed spec seen meanwhile, median s", changes[len(changes) // 2], None),
        ("a changed spec seen meanwhile, p99 s", late, 2.0),
        ("an abort carried out meanwhile, median s", rollbacks[len(rollbacks) // 2], None),
        ("an abort carried out meanwhile, worst s", rollbacks[-1], 2.0),
    )
    sheet = rich.table.Table(title=f"{objects} objects at rest")
    for heading in ("", "measured", "at most", ""):
        sheet.add_column(heading, justify="left" if not heading else "right")
    kept = True
    for name, value, most in rows:
        kept = kept and (most is None or value <= most)
        missed = "MISSED" if most is not None and value > most else ""
        sheet.add_row(name, f"{value:.2f}", "" if most is None else f"{most:g}", missed)
    rich.console.Console(width=100).print(sheet)
    if not kept:
        sys.exit("scale: a requirement was missed")
