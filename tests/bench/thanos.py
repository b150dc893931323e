"""A look through Thanos: two Prometheus replicas that scrape the same pods, sidecars, a querier that deduplicates.

Checks that the evidence is the same as from one Prometheus (a querier without deduplication included, which gives every
series twice), and says what an answer costs there. Builds Thanos the first time, which takes some minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import rich.console
import rich.table
from tests.cluster.harness import binaries, waiting
from tests.contract import test_metrics_as_people_run_them as ordinary
from tests.contract.test_prometheus import free_port

from seatrial.rollout import looks

NAMES = ("healthy-15", "failing-15", "failing-60", "twice")
LOOKS = 15
REPLICA = """
global: {{scrape_interval: 1s, external_labels: {{cluster: east, replica: "{replica}"}}}}
storage: {{tsdb: {{out_of_order_time_window: 4h}}}}
scrape_configs:
{jobs}
"""


@click.command()
def command() -> None:
    """The same evidence through a Thanos querier, and what it costs there."""
    binaries.ensure(binaries.THANOS, say=click.echo)
    with tempfile.TemporaryDirectory() as folder, _world(Path(folder)) as (past, ways):
        seen = {way: asyncio.run(_looks(base, past)) for way, base in ways.items()}
    sheet = rich.table.Table(title=f"A look at a window of 20 minutes, median of {LOOKS}")
    for heading in ("asked", "ms", *NAMES):
        sheet.add_column(heading, justify="right")
    for way, (spent, found) in seen.items():
        sheet.add_row(way, f"{1000 * spent:.0f}", *(f"{look.outcome} {look.candidate_requests}" for look in found))
    rich.console.Console(width=160).print(sheet)
    told = {
        tuple((look.outcome, look.candidate_requests, look.stable_requests) for look in found)
        for _, found in seen.values()
    }
    if len(told) > 1:
        raise SystemExit("thanos: the evidence is not the same on every way")


@contextlib.contextmanager
def _world(folder: Path) -> Iterator[tuple[ordinary.Past, dict[str, str]]]:
    """Two replicas that have scraped the same past, and the ways to ask them."""
    past = ordinary.made_up()
    with contextlib.ExitStack() as stack:
        bases, stores = [], []
        for replica in ("a", "b"):
            past.told.clear()
            place = folder / replica
            place.mkdir()
            port = stack.enter_context(ordinary.exposing(past))
            config = REPLICA.format(replica=replica, jobs=ordinary.jobs(past, port))
            base = stack.enter_context(ordinary.prometheus(place, config))
            waiting.until(lambda: past.told == set(past.texts), what="everything scraped", seconds=60)
            bases.append(base)
            stores.append(stack.enter_context(_sidecar(base)))
        once = stack.enter_context(_querier(stores, "--query.replica-label=replica"))
        twice = stack.enter_context(_querier(stores))
        yield past, {"Prometheus": bases[0], "Thanos": once, "Thanos, not deduplicating": twice}


@contextlib.contextmanager
def _sidecar(base: str) -> Iterator[str]:
    """Address of its StoreAPI."""
    grpc = f"127.0.0.1:{free_port()}"
    with _thanos("sidecar", f"--prometheus.url={base}", f"--grpc-address={grpc}"):
        yield grpc


@contextlib.contextmanager
def _querier(stores: list[str], *flags: str) -> Iterator[str]:
    with _thanos("query", *(f"--endpoint={store}" for store in stores), *flags) as base:
        waiting.until(lambda: _series(base) > 0, what="the querier's stores", seconds=60)
        yield base


@contextlib.contextmanager
def _thanos(part: str, *flags: str) -> Iterator[str]:
    port = free_port()
    argv = [str(binaries.THANOS.path()), part, "--log.level=error", f"--http-address=127.0.0.1:{port}", *flags]
    if part == "query":
        argv.append(f"--grpc-address=127.0.0.1:{free_port()}")
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process_:
        try:
            base = f"http://127.0.0.1:{port}"
            waiting.until(lambda: waiting.answers(f"{base}/-/ready"), what=f"Thanos {part}", seconds=60)
            yield base
        finally:
            process_.terminate()


def _series(base: str) -> int:
    with urllib.request.urlopen(f"{base}/api/v1/query?query=count(seatrial_requests_total)", timeout=5) as answer:
        return len(msgspec.json.decode(answer.read())["data"]["result"])


async def _looks(base: str, past: ordinary.Past) -> tuple[float, list[looks.Look]]:
    """Seconds of a whole look, from the question to the judgement, and what was found in each rollout."""
    spent, found = [], []
    for name in NAMES:
        for _ in range(LOOKS):
            async with ordinary.asking(base, past) as there:
                begun = time.perf_counter()
                look = await ordinary.newest(there, ordinary.question(past, name))
                spent.append(time.perf_counter() - begun)
        found.append(look)
    return statistics.median(spent), found
