"""Rollouts on the test cluster, several side by side: how fast a bad version is found, and that no other one is.

Runs of all rows go through a few namespaces at a time; a table at the end, and no namespace left, also after Ctrl-C.
`python -m tests.bench rollouts --write docs/reference/measured-rollouts.md`; `make bench-rollouts` does that.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime
import os
import platform as machine
import sys
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import click
import rich.console
from tests.bench.rolling import board, report, rows, run
from tests.cluster import installation
from tests.cluster.harness import gateway, network

PREFIX = "bench-rollouts-"


@click.command()
@click.option("--runs", type=int, help="Runs of every row; default: 5, of healthy versions 10.")
@click.option("--rows", "names", default=",".join(row.name for row in rows.ROWS), show_default=True, help="Which ones.")
@click.option("--side-by-side", default=5, show_default=True, help="Namespaces at once; each has 5 to 9 pods.")
@click.option("--write", type=click.Path(path_type=Path), help="Write the page of the reference here.")
def command(runs: int | None, names: str, side_by_side: int, write: Path | None) -> None:
    """Real rollouts of good and bad versions, timed. About 25 minutes on two cores."""
    chosen = _chosen(names)
    platform = installation.install(say=click.echo)
    _remove(platform, wait=True)
    began = time.monotonic()
    tasks = [(row, number) for row in chosen for number in range(runs or row.runs)]
    results: dict[str, list[rows.Run]] = {row.name: [] for row in chosen}
    ordered = [(row, results[row.name]) for row in chosen]
    load = [0.0]
    try:
        with (
            _fronts(platform, chosen) as front,
            contextlib.closing(_all(platform, tasks, front=front, side_by_side=side_by_side)) as ended,
        ):
            for row, one in ended:
                results[row.name].append(one)
                load.append(os.getloadavg()[0])
                click.echo(f"{_elapsed(began)} {sum(map(len, results.values()))} of {len(tasks)} runs")
    finally:
        _remove(platform, wait=False)
        rich.console.Console(width=200).print(report.sheet(ordered))
    for text in report.missed(ordered):
        click.echo(f"missed: {text}")
    if write:
        minutes = (time.monotonic() - began) / 60
        about = _about(minutes=minutes, load=max(load), side_by_side=side_by_side)
        write.write_text(report.document(ordered, about))
    if report.missed(ordered):
        sys.exit("rollouts: a must was missed")


def _chosen(names: str) -> list[rows.Row]:
    known = {row.name: row for row in rows.ROWS}
    if unknown := [name for name in names.split(",") if name not in known]:
        raise click.BadParameter(f"{', '.join(unknown)}; there are {', '.join(known)}", param_hint="--rows")
    return [known[name] for name in names.split(",")]


@contextlib.contextmanager
def _fronts(platform: installation.Platform, chosen: list[rows.Row]) -> Iterator[gateway.Front | None]:
    """A gateway beside the node's programs, where a row needs one."""
    if not any(row.provider == "GatewayAPI" for row in chosen):
        yield None
        return
    cluster = platform.cluster
    gateway.install(cluster.kubectl)
    inside = cluster.inside_argv
    with gateway.running(cluster.kubeconfig, inside=inside, address=network.NODE, say=click.echo) as front:
        yield front


def _all(
    platform: installation.Platform,
    tasks: list[tuple[rows.Row, int]],
    *,
    front: gateway.Front | None,
    side_by_side: int,
) -> Generator[tuple[rows.Row, rows.Run], None, None]:
    """Runs as they end. Interrupted, those under way end at their next look."""
    began, telling = time.monotonic(), threading.Lock()
    with (
        board.Board(platform) as seen,
        concurrent.futures.ThreadPoolExecutor(max_workers=side_by_side) as pool,
    ):

        def one(row: rows.Row, number: int) -> rows.Run:
            namespace = f"{PREFIX}{row.name}-{number}"

            def say(text: str) -> None:
                with telling:
                    click.echo(f"{_elapsed(began)} {row.name} {number + 1}: {text}")

            try:
                behind = front if row.provider == "GatewayAPI" else None
                return run.once(run.Place(platform, seen, row, namespace, say, behind))
            finally:
                platform.cluster.kubectl("delete", "namespace", namespace, "--wait=false", check=False)

        futures = {pool.submit(one, row, number): row for row, number in tasks}
        try:
            for future in concurrent.futures.as_completed(futures):
                yield futures[future], future.result()
        finally:
            seen.stop()
            pool.shutdown(wait=False, cancel_futures=True)


def _remove(platform: installation.Platform, *, wait: bool) -> None:
    """Namespaces of this run, or of one that was killed."""
    found = platform.cluster.kubectl("get", "namespaces", "-o", "name").split()
    mine = [name for name in found if name.startswith(f"namespace/{PREFIX}")]
    if mine:
        platform.cluster.kubectl("delete", *mine, "--ignore-not-found", f"--wait={str(wait).lower()}")


def _elapsed(began: float) -> str:
    minutes, seconds = divmod(int(time.monotonic() - began), 60)
    return f"[{minutes:2d}:{seconds:02d}]"


def _about(*, minutes: float, load: float, side_by_side: int) -> report.Circumstances:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(":")[1].strip() for line in lines if "model name" in line), machine.machine())
    return report.Circumstances(
        command=" ".join(["python -m tests.bench", *sys.argv[1:]]),
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        machine=f"{processor}, {os.cpu_count()} CPUs, Linux {machine.release()}",
        minutes=minutes,
        load=load,
        side_by_side=side_by_side,
    )
