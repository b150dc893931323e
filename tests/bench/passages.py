"""Promotions and rollbacks one after another on the test cluster, while clients of three kinds send without a pause.

What must not happen is counted by the clients themselves: a request without a good answer. What must, is timed by them:
when the last request was passed on to a version that was rejected, and when the last one reached a version that was
replaced. Shares are what stable's pods have counted in each step. `--write FILE` makes a page of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import math
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import rich.console
import rich.table
from tests.bench.rolling import passengers
from tests.cluster import installation, watching
from tests.cluster.harness import images, paths
from tests.cluster.models import samples

from seatrial.api.status import VerdictKind

NAMESPACE = "bench-passages"
WEIGHTS = (1, 10, 50)
STEPS = [
    {"weight": 0, "shadow": 10, "minDuration": "5s", "minRequests": 20},
    *({"weight": weight, "minDuration": "10s", "minRequests": 10} for weight in WEIGHTS),
]
FAILING_STEPS = [{"weight": 50, "minDuration": "25m", "minRequests": 30}]
GOOD, FAILING = ("digits-v2b", "digits-v2c"), "digits-v3"
SECONDS = 240.0
WITHDRAWN = 1.0  # seconds from a verdict, until no request is passed on any more
ENOUGH = 1000  # requests to judge a share by


@dataclasses.dataclass
class Passage:
    """One version's way. `took`: seconds from its verdict to the last request that still went the old way."""

    replicas: int
    promoted: bool
    took: float
    shares: dict[int, tuple[float, int]]
    covered: int


class Aboard:
    """The clients, and their newest report."""

    def __init__(self) -> None:
        self.report = passengers.Report()

    def follow(self, stream: Any) -> None:
        for line in stream:
            self.report = msgspec.json.decode(line, type=passengers.Report)


@contextlib.contextmanager
def sending(subject: watching.Subject, *, rate: float) -> Iterator[Aboard]:
    cluster = subject.platform.cluster
    address = cluster.kubectl("get", "service", subject.name, "-n", NAMESPACE, "-o", "jsonpath={.spec.clusterIP}")
    rows = images.ROWS.folder(say=click.echo) / "rows.json"
    command = [sys.executable, "-m", "tests.bench.rolling.passengers", address.strip(), str(rows), str(rate)]
    aboard = Aboard()
    with subprocess.Popen(
        [*cluster.inside_argv, *command], cwd=paths.REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        reader = threading.Thread(target=aboard.follow, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            yield aboard
        finally:
            if process.stdin is not None:
                process.stdin.close()
            reader.join(timeout=30)
            process.wait(timeout=30)


@click.command()
@click.option("--requests", default=100_000, show_default=True, help="How many at least, over all.")
@click.option("--rate", default=250.0, show_default=True, help="Requests a second of all clients together.")
@click.option("--replicas", default="1,2,4", show_default=True, help="Sizes of the deployment, one after another.")
@click.option("--write", type=click.Path(path_type=Path), help="Write the page of the reference here.")
def command(requests: int, rate: float, replicas: str, write: Path | None) -> None:
    """Nobody is lost on the way: promotions and rollbacks under traffic. About 10 minutes on two cores."""
    platform = installation.install(say=click.echo)
    subject = watching.Subject(platform, namespace=NAMESPACE)
    platform.cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait")
    installation.namespace(platform, NAMESPACE)
    sizes, load, began = [int(one) for one in replicas.split(",")], [0.0], time.monotonic()
    done: list[Passage] = []
    try:
        _install(subject, sizes[0])
        with sending(subject, rate=rate) as aboard:
            for place, size in enumerate(sizes, 1):
                done += _voyage(subject, aboard, size=size, until=requests * place // len(sizes), load=load)
        report = aboard.report
    finally:
        platform.cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")
    rich.console.Console(width=160).print(_sheet(done))
    about = _told(report, done)
    click.echo(about)
    if write:
        minutes = (time.monotonic() - began) / 60
        write.write_text(_page(about, done, minutes=minutes, load=max(load), rate=rate))
    if wrongs := _missed(report, done):
        sys.exit("passages: " + "; ".join(wrongs))


def _install(subject: watching.Subject, size: int) -> None:
    subject.apply(_wish(subject, "digits-v2", version="first", steps=FAILING_STEPS, size=size))
    subject.wait(lambda one: one.verdict("first") is not None, what="the first version", seconds=SECONDS)


def _voyage(
    subject: watching.Subject, aboard: Aboard, *, size: int, until: int, load: list[float]
) -> Iterator[Passage]:
    """A promotion and a rollback in turn, at least one of each."""
    number = 0
    while number < 2 or aboard.report.total < until:
        good = number % 2 == 0
        name = f"{'good' if good else 'bad'}-{size}-{number}"
        package = GOOD[number // 2 % 2] if good else FAILING
        steps = STEPS if good else FAILING_STEPS
        passage = _passage(subject, aboard, _wish(subject, package, version=name, steps=steps, size=size), name=name)
        load.append(os.getloadavg()[0])
        click.echo(f"{name}: {passage.took:.2f} s, {aboard.report.total} sent, bad {aboard.report.bad or 'none'}")
        yield passage
        number += 1


def _passage(subject: watching.Subject, aboard: Aboard, wish: dict[str, Any], *, name: str) -> Passage:
    before = subject.look()
    old = before.status.stable.revision if before is not None and before.status.stable is not None else ""
    shares: dict[int, tuple[float, int]] = {}

    def look(sight: watching.Sight) -> None:
        traffic = sight.status.traffic
        if traffic is not None and traffic.measured_share and traffic.requests and 0 < traffic.desired_weight < 100:
            counted = traffic.requests.stable + traffic.requests.candidate
            shares[traffic.desired_weight] = float(traffic.measured_share.removesuffix("%")), counted

    subject.apply(wish)
    sight = subject.wait(
        lambda one: one.settled and one.verdict(name) is not None, what=name, seconds=SECONDS, show=look
    )
    verdict = sight.verdict(name)
    if verdict is None:
        raise AssertionError("waited for")
    promoted = verdict.verdict is VerdictKind.PROMOTED
    leaves = old if promoted else verdict.revision
    _let_pass(subject, wish["spec"]["replicas"])
    given = aboard.report.revisions.get(leaves, passengers.Given())
    mine = aboard.report.revisions.get(verdict.revision, passengers.Given())
    return Passage(
        replicas=wish["spec"]["replicas"],
        promoted=promoted,
        took=max(0.0, given.last - verdict.at.timestamp()),
        shares=shares,
        covered=mine.covered,
    )


def _let_pass(subject: watching.Subject, size: int) -> None:
    """Until the pods of whoever left are gone: their last requests are part of it."""

    def alone(sight: watching.Sight) -> bool:
        pods = subject.platform.list("pods", NAMESPACE, "app.kubernetes.io/component=server")
        ready = sight.status.stable is not None and sight.status.stable.ready_replicas == size
        return ready and len(pods) == size

    subject.wait(alone, what="the end of the other pods", seconds=SECONDS)


def _wish(
    subject: watching.Subject, package: str, *, version: str, steps: list[dict[str, Any]], size: int
) -> dict[str, Any]:
    """A revision of its own at each time, whatever bytes it has."""
    wish = subject.platform.sample("digits-v1")
    wish["spec"]["model"] = {**samples.version(package, models=subject.platform.models), "version": version}
    wish["spec"] |= {"replicas": size, "quantization": {"mode": "None"}}
    wish["spec"]["rollout"] = {"steps": steps, "soak": "5s", "startTimeout": "4m"}
    return wish


def _missed(report: passengers.Report, done: list[Passage]) -> list[str]:
    found = [f"{sum(report.bad.values())} requests without a good answer: {report.bad}"] if report.bad else []
    late = max((one.took for one in done if not one.promoted), default=0.0)
    if late > WITHDRAWN:
        found.append(f"a request was passed on {late:.1f} s after the verdict, must {WITHDRAWN:g} s")
    for one in done:
        for asked, (seen, counted) in one.shares.items():
            if counted >= ENOUGH and abs(seen - asked) > 3 * _chance(asked, counted):
                found.append(f"share {seen:.2f} % of {counted} requests where {asked} % was asked")
    return found


def _chance(asked: int, counted: int) -> float:
    """The standard error of a share, in percent."""
    return 100 * math.sqrt(asked / 100 * (1 - asked / 100) / counted)


def _told(report: passengers.Report, done: list[Passage]) -> str:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in report.sent.items())
    rolled = [one.took for one in done if not one.promoted]
    followed = [one.took for one in done if one.promoted]
    return (
        f"{report.total:,} requests ({kinds}) through {len(followed)} promotions and {len(rolled)} rollbacks; "
        f"without a good answer: {sum(report.bad.values())}; answered in the candidate's place: "
        f"{sum(one.covered for one in report.revisions.values())}; sent once more on a new connection: {report.again}. "
        f"The last request was passed on {statistics.median(rolled):.2f} s after a rejection (median; worst "
        f"{max(rolled):.2f} s); the last answer of a version that was replaced was asked for "
        f"{statistics.median(followed):.1f} s after its successor's promotion (worst {max(followed):.1f} s)."
    )


def _rows(done: list[Passage]) -> Iterator[tuple[str, ...]]:
    """Shares by size: the runs' requests together, and the run that is farthest from what was asked."""
    for size in sorted({one.replicas for one in done}):
        for asked in WEIGHTS:
            seen = [one.shares[asked] for one in done if one.replicas == size and one.promoted and asked in one.shares]
            if not seen:
                continue
            count = sum(counted for _, counted in seen)
            whole = sum(share * counted for share, counted in seen) / count
            farthest = max(abs(share - asked) / _chance(asked, counted) for share, counted in seen)
            yield str(size), f"{asked} %", f"{whole:.2f} %", f"{count:,}", str(len(seen)), f"{farthest:.1f}"


HEADINGS = ("replicas", "asked", "seen", "requests", "steps", "farthest, in standard errors")


def _sheet(done: list[Passage]) -> rich.table.Table:
    table = rich.table.Table(*HEADINGS)
    for row in _rows(done):
        table.add_row(*row)
    return table


def _page(about: str, done: list[Passage], *, minutes: float, load: float, rate: float) -> str:
    lines = [HEADINGS, ("---",) * len(HEADINGS), *_rows(done)]
    return _PAGE.format(
        command=" ".join(["python -m tests.bench", *sys.argv[1:]]),
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        minutes=minutes,
        load=load,
        rate=rate,
        about=about,
        table="\n".join(f"| {' | '.join(line)} |" for line in lines),
    )


_PAGE = """# Promotions and rollbacks under traffic, measured

Made on {date} as `{command}`, in {minutes:.0f} minutes on the test cluster of one node with 2 CPUs;
load average {load:.1f} at most.

Clients of three kinds (HTTP on kept connections, HTTP with a connection for each request, gRPC) send {rate:g} requests
a second together, one after another, while versions are promoted and rejected in turn with provider `Relay`. A request
counts as answered with status 200 and its own id, or gRPC's OK; nothing is sent twice but what a server closed unread.

{about}

Shares as stable's pods have counted them in the steps of the promotions:

{table}
"""
