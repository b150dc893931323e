"""Overload: ten times as many requests as the model can answer, and what happens to health, metrics and the answers.

Then the same probes while clients send compressed bombs, tiny chunks, wide rows as JSON and uploads that never end.

The model takes 50 ms a call of up to 32 rows, so it runs in the worker thread. The load is open-loop: a client that
waits for its answer would slow down with the server. A process of its own asks for health and metrics in turn.
"""

import concurrent.futures
import contextlib
import gzip
import itertools
import os
import select
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import numpy as np
from tests.bench import load, models, processes
from tests.unit.server import graphs

LIMIT_SECONDS = 0.05
TIMES = 10
_SERVER_CORE, _LOAD_CORE = 0, 1
_ITERATIONS = 50_000  # of the graph's loop, about a microsecond each
_CONNECTIONS = 512
_MIB = 2**20
_COLUMNS = 10_000
_HOSTILE = 8
_GZIP = b"Content-Encoding: gzip\r\n"
_UNITS = (b"0,", b"[0],", b'"a",', b"{},", b" ")
_CHUNKS = b"2\r\n  \r\n" * 20_000 + b"0\r\n\r\n"


class Overload(msgspec.Struct):
    """Answers by status, and seconds of each probe."""

    offered: int
    statuses: dict[int, int]
    probes: dict[str, list[float]]


@click.command()
@click.option("--seconds", default=10.0, show_default=True)
def command(seconds: float) -> None:
    """Health and metrics under ten times the load that the model can take."""
    os.sched_setaffinity(0, {_LOAD_CORE})
    rows = np.random.default_rng(0).standard_normal((models.BODIES, 4)).astype(np.float32)
    model = models.Model(name="slow", title="50 ms a call", content=graphs.slow(_ITERATIONS), rows=rows)
    requests = [models.json_request(model, row) for row in range(models.BODIES)]
    with tempfile.TemporaryDirectory() as name:
        arguments = processes.serve_arguments(processes.prepare(model, Path(name) / "work"))
        with processes.child(_SERVER_CORE, "seatrial_server", *arguments) as server:
            capacity = load.drive(server.port, requests, connections=64, seconds=2.0)
            rate = TIMES * capacity.count / capacity.seconds
            found = _overload(server, requests, rate=rate, seconds=seconds)
        hostile = _hostile(Path(name) / "wide", seconds=seconds)
    answered = found.statuses.get(200, 0) / seconds
    click.echo(f"capacity {rate / TIMES:,.0f}/s, offered {found.offered / seconds:,.0f}/s, answered {answered:,.0f}/s")
    click.echo(f"answers by status: {dict(sorted(found.statuses.items()))}")
    worst = _show(found.probes)
    click.echo(f"hostile clients, answers by status: {dict(sorted(hostile.statuses.items()))}")
    worst = max(worst, _show(hostile.probes))
    if worst > LIMIT_SECONDS:
        sys.exit(f"overload: p99 of a probe is over {1e3 * LIMIT_SECONDS:.0f} ms")


def _show(probes: dict[str, list[float]]) -> float:
    """Prints them; returns the worst p99."""
    worst = 0.0
    for kind, taken in probes.items():
        p50, p99 = np.quantile(taken, [0.5, 0.99])
        worst = max(worst, float(p99))
        click.echo(
            f"{kind}: {len(taken)} probes, p50 {1e3 * p50:.1f} ms, p99 {1e3 * p99:.1f}, worst {1e3 * max(taken):.1f}"
        )
    return worst


def _hostile(folder: Path, *, seconds: float) -> Overload:
    """A model with wide rows, and eight clients that each send one thing after the other."""
    rows = np.random.default_rng(0).standard_normal((4, _COLUMNS)).astype(np.float32)
    model = models.Model(name="wide", title="wide rows", content=graphs.echo(1, columns=_COLUMNS), rows=rows)
    start = b'{"inputs":[{"name":"x","shape":[1,%d],"datatype":"FP32","data":[' % _COLUMNS
    requests = [
        *(models.post(model, gzip.compress(start + unit * (32 * _MIB // len(unit))), _GZIP) for unit in _UNITS),
        models.json_request(model, 0),
        models.binary_request(model, 0),
        models.post(model, b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + _CHUNKS,
    ]
    statuses: dict[int, int] = {}
    with (
        processes.child(
            _SERVER_CORE, "seatrial_server", *processes.serve_arguments(processes.prepare(model, folder))
        ) as server,
        contextlib.ExitStack() as stack,
        concurrent.futures.ThreadPoolExecutor(_HOSTILE) as pool,
        _probed(server) as probes,
    ):
        for _ in range(2):
            upload = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            upload.sendall(models.post(model, bytes(60 * _MIB))[:-1])
        until = time.perf_counter() + seconds
        for found in pool.map(lambda first: _abuse(server.port, requests, first, until), range(_HOSTILE)):
            for status in found:
                statuses[status] = statuses.get(status, 0) + 1
    return Overload(offered=sum(statuses.values()), statuses=statuses, probes=probes)


def _abuse(port: int, requests: list[bytes], first: int, until: float) -> list[int]:
    """The status of every answer; each request has a connection of its own."""
    statuses = list[int]()
    for number in itertools.count(first):
        if time.perf_counter() > until:
            return statuses
        with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
            link.sendall(requests[number % len(requests)])
            statuses.append(int(link.recv(4096)[9:12]))
    return statuses


@contextlib.contextmanager
def _probed(server: processes.Child) -> Iterator[dict[str, list[float]]]:
    """Health and metrics are asked for during the block; what that took is known after it."""
    result: dict[str, list[float]] = {}
    with (
        processes.child(_LOAD_CORE, "tests.bench.processes", "probe", str(server.port), "/v2/health/ready") as health,
        processes.child(_LOAD_CORE, "tests.bench.processes", "probe", str(server.metrics_port), "/metrics") as metrics,
    ):
        yield result
        result |= {"health": health.stop_probing(), "metrics": metrics.stop_probing()}


def _overload(server: processes.Child, requests: list[bytes], *, rate: float, seconds: float) -> Overload:
    with _probed(server) as probes:
        offered, statuses = _open_loop(server.port, requests, rate=rate, seconds=seconds)
    return Overload(offered=offered, statuses=statuses, probes=probes)


def _open_loop(port: int, requests: list[bytes], *, rate: float, seconds: float) -> tuple[int, dict[int, int]]:
    """Send at the rate whatever comes back; one request at a time on each connection."""
    poll, statuses, offered = select.epoll(), dict[int, int](), 0
    links = {
        link.fileno(): link for link in (socket.create_connection(("127.0.0.1", port)) for _ in range(_CONNECTIONS))
    }
    for number, link in links.items():
        link.setblocking(False)
        poll.register(number, select.EPOLLIN)
    idle = list(links)
    started = time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        while idle and offered < passed * rate:
            links[idle.pop()].send(requests[offered % len(requests)])
            offered += 1
        for number, _ in poll.poll(0.001):
            answer = links[number].recv(16384)
            status = int(answer[9:12])  # an answer is small and arrives whole
            statuses[status] = statuses.get(status, 0) + 1
            idle.append(number)
    for link in links.values():
        link.close()
    poll.close()
    return offered, statuses
