"""Overload: ten times as many requests as the model can answer, and what happens to health, metrics and the answers.

The model takes 50 ms a call of up to 32 rows, so it runs in the worker thread. The load is open-loop: a client that
waits for its answer would slow down with the server. A process of its own asks for health and metrics in turn.
"""

import os
import select
import socket
import sys
import tempfile
import time
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
    answered = found.statuses.get(200, 0) / seconds
    click.echo(f"capacity {rate / TIMES:,.0f}/s, offered {found.offered / seconds:,.0f}/s, answered {answered:,.0f}/s")
    click.echo(f"answers by status: {dict(sorted(found.statuses.items()))}")
    worst = 0.0
    for kind, taken in found.probes.items():
        p50, p99 = np.quantile(taken, [0.5, 0.99])
        worst = max(worst, float(p99))
        click.echo(
            f"{kind}: {len(taken)} probes, p50 {1e3 * p50:.1f} ms, p99 {1e3 * p99:.1f}, worst {1e3 * max(taken):.1f}"
        )
    if worst > LIMIT_SECONDS:
        sys.exit(f"overload: p99 of a probe is over {1e3 * LIMIT_SECONDS:.0f} ms")


def _overload(server: processes.Child, requests: list[bytes], *, rate: float, seconds: float) -> Overload:
    with (
        processes.child(_LOAD_CORE, "tests.bench.processes", "probe", str(server.port), "/v2/health/ready") as health,
        processes.child(_LOAD_CORE, "tests.bench.processes", "probe", str(server.metrics_port), "/metrics") as metrics,
    ):
        offered, statuses = _open_loop(server.port, requests, rate=rate, seconds=seconds)
        probes = {"health": health.stop_probing(), "metrics": metrics.stop_probing()}
    return Overload(offered=offered, statuses=statuses, probes=probes)


def _open_loop(port: int, requests: list[bytes], *, rate: float, seconds: float) -> tuple[int, dict[int, int]]:
    """Send at the rate whatever comes back; one request at a time on each connection."""
    poll, statuses, offered = select.epoll(), {}, 0
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
