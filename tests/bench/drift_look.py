"""What an hourly look at drift costs the operator: CPU from Prometheus' answer to what is said.

"answer": decoding it, telling pods apart and subtracting totals. "hour": evidence of an ordinary hour, in the last hour
and the last day. "midnight": of an hour that ends a day, in all windows up to four weeks. The past is full.
"""

import functools
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import click
import msgspec
import numpy as np
import rich.console
import rich.table

from seatrial.control.drifting import believing
from seatrial.drift import policy, totals, watch
from seatrial.drift.columns import Column
from seatrial.prometheus import client

MOST_MS = 50
SIZES = ((8, 2), (64, 2), (64, 10))  # columns, pods
TRIES = 7
DAY = 24
FULL_DAYS = 28
POLICY = policy.Policy()


@click.command()
def command() -> None:
    """CPU milliseconds of a look at drift."""
    sheet = rich.table.Table(
        title=f"CPU of one look at drift, ms; together at most {MOST_MS} for 64 columns and 2 pods"
    )
    for heading in ("columns", "pods", "series", "answer", "hour", "midnight", "answer + midnight"):
        sheet.add_column(heading, justify="right")
    missed = False
    for count, pods in SIZES:
        watched = [_column(number) for number in range(count)]
        content, series = _answer(watched, pods)
        answer = _milliseconds(functools.partial(_read, content, watched))
        hour, midnight = _looks(watched, pods)
        missed = missed or ((count, pods) == (64, 2) and answer + midnight > MOST_MS)
        sheet.add_row(
            *map(str, (count, pods, series)),
            *(f"{one:.1f}" for one in (answer, hour, midnight)),
            f"{answer + midnight:.1f}",
        )
    rich.console.Console(width=100).print(sheet)
    if missed:
        sys.exit("drift-look: a requirement was missed")


def _column(number: int) -> Column:
    """Three numbers with deciles, then a category of eight values, whose order is its own."""
    if number % 4 < 3:
        bins = ("missing", "below", *map(str, range(1, 11)), "above")
        edges = tuple(map(float, range(11)))
        return Column(name=f"f{number}", bins=bins, reference=(0.01, 0.0, *[0.099] * 10, 0.0), rows=2000, edges=edges)
    shares = np.random.default_rng(number).dirichlet(np.ones(8)).round(6)
    bins = ("missing", "unseen", "other", *(f"v{place}" for place in range(8)))
    return Column(name=f"f{number}", bins=bins, reference=(0.0, 0.0, 0.0, *(shares / shares.sum()).tolist()), rows=2000)


def _answer(watched: list[Column], pods: int) -> tuple[bytes, int]:
    """What Prometheus says of an hour, and how many series that are."""
    series = list[dict[str, Any]]()
    for pod in range(pods):
        own = {"deployment": "d", "deployment_namespace": "ns", "revision": "r1", "job": "pods", "namespace": "ns"}
        own |= {"pod": f"d-r1-{pod}", "instance": f"10.0.0.{pod}:8082"}
        for column in watched:
            counted: tuple[tuple[str, str, tuple[str, ...]], ...] = (
                ("seatrial_feature_rows_total", "bin", column.bins),
                ("seatrial_refused_rows_total", "code", ("Missing", "NotFinite", "OutOfRange")),
            )
            for name, label, values in counted:
                series += [
                    {
                        "metric": {"__name__": name, **own, "feature": column.name, label: value},
                        "values": [[3600, str(50_000 + 7 * place)], [7200, str(50_200 + 9 * place)]],
                    }
                    for place, value in enumerate(values)
                ]
    answer = {"status": "success", "data": {"resultType": "matrix", "result": series}}
    return msgspec.json.encode(answer), len(series)


def _read(content: bytes, watched: list[Column]) -> None:
    believed = believing.Believed((), namespace="ns", prefix="d-r1-")
    [hour] = totals.hours(client.totals(content, where="bench"), watched, whose=believed.whose)
    assert hour.pods[0].rows.keys() == {one.name for one in watched}


def _looks(watched: list[Column], pods: int) -> tuple[float, float]:
    """Milliseconds of the looks of an ordinary hour, and of one that ends a day."""
    random = np.random.default_rng(1)
    memory, end = watch.EMPTY, FULL_DAYS * DAY
    for at in range(end):
        memory, _ = watch.after(memory, _hour(random, watched, pods, at), columns=watched, policy=POLICY)
    hour = _hour(random, watched, pods, end)
    ordinary = _milliseconds(lambda: watch.after(memory, hour, columns=watched, policy=POLICY))
    for at in range(end, end + DAY - 1):
        memory, _ = watch.after(memory, _hour(random, watched, pods, at), columns=watched, policy=POLICY)
    last = _hour(random, watched, pods, end + DAY - 1)
    return ordinary, _milliseconds(lambda: watch.after(memory, last, columns=watched, policy=POLICY))


def _hour(random: np.random.Generator, watched: list[Column], pods: int, at: int) -> watch.Hour:
    there = [
        watch.Pod(rows={one.name: tuple(random.poisson(2000 * np.array(one.reference)).tolist()) for one in watched})
        for _ in range(pods)
    ]
    return watch.Hour(at=at, pods=tuple(there), ready=pods)


def _milliseconds(work: Callable[[], object]) -> float:
    """Median of several times."""
    spent = []
    for _ in range(TRIES):
        begun = time.process_time()
        work()
        spent.append(time.process_time() - begun)
    return 1000 * statistics.median(spent)


if __name__ == "__main__":
    command()
