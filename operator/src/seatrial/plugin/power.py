"""`kubectl seatrial power`: which regressions a rollout finds, in which time, at the traffic that there is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.table import Table

from seatrial.api import values
from seatrial.api.spec import Model, Spec
from seatrial.plugin import connection, detection, errors, options, traffic
from seatrial.plugin.linting import checking, documents

DEFAULTS = Spec(model=Model(uri="https://models.example.com/model.onnx", sha256="0" * 64))


class Case(msgspec.Struct, frozen=True):
    """A way of being worse."""

    name: str
    candidate: traffic.Version


class Row(msgspec.Struct, frozen=True):
    """What became of it."""

    regression: str
    ends: detection.Ends


@click.command()
@click.argument("name", required=False)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), required=True, help="Requests a second, of both.")
@click.option("-f", "--file", metavar="FILE", help="A manifest, in place of NAME.")
@click.option("--errors", "failing", type=options.RATIO, default="0.5%", show_default=True, help="Stable's errors.")
@click.option("--slow", type=options.RATIO, default="0.3%", show_default=True, help="Stable's slow requests.")
@click.option("--runs", type=click.IntRange(10, 2000), default=50, show_default=True, help="Rollouts a row.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same numbers.")
@click.option("-n", "--namespace", metavar="NAME", help="Namespace of NAME.  [default: the context's]")
@click.option("--context", metavar="NAME", help="Context of the kubeconfig.  [default: the current one]")
@click.option("--kubeconfig", metavar="FILE", help="[default: $KUBECONFIG, else ~/.kube/config]")
@options.output
def command(
    *,
    name: str | None,
    rate: float,
    file: str | None,
    failing: values.Ratio,
    slow: values.Ratio,
    runs: int,
    seed: int,
    namespace: str | None,
    context: str | None,
    kubeconfig: str | None,
    output: str | None,
) -> None:
    """Tell which regressions the steps find, how soon, and after how many answers, at --rate requests a second.

    Rollouts are played through with random requests and the operator's own statistics: with the steps and tolerances
    of NAME in the cluster, of a manifest (-f), or the defaults. A pause is passed at once. The last row is a version
    that is as good as stable: what is found of it is found by mistake. ANSWERS is how many people have had an answer of
    the version by then (median); WAITING is held at its step for want of requests, or because it is suspected.
    """
    if name and file:
        raise click.UsageError("give NAME or --file, not both")
    if file:
        wish = _of_file(file)
    elif name:
        wish = _of_cluster(name, namespace=namespace, context=context, kubeconfig=kubeconfig)
    else:
        wish = DEFAULTS
    if not detection.steps_of(wish):
        raise errors.WouldDoNothing("no step gives the candidate a part of the requests: there is nothing to compare")
    healthy = traffic.Version(errors=float(failing), slow=float(slow))
    rows = list(study(wish, rate=rate, healthy=healthy, runs=runs, seed=seed))
    if output:
        click.echo(options.data(rows, output))
        return
    console = options.console()
    console.print(_table(rows, rate=rate, runs=runs))


def cases(healthy: traffic.Version) -> list[Case]:
    """From the worst to none: what people fear, in multiples of what stable does."""
    found = [Case("every request fails", msgspec.structs.replace(healthy, errors=1.0))]
    for times in (20, 10, 4, 2):
        share = min(1.0, times * healthy.errors)
        if share < 1:
            name = f"errors {_percent(healthy.errors)} -> {_percent(share)}"
            found.append(Case(name, msgspec.structs.replace(healthy, errors=share)))
    for times in (10, 3):
        share = min(1.0, times * healthy.slow)
        name = f"slow requests {_percent(healthy.slow)} -> {_percent(share)}"
        found.append(Case(name, msgspec.structs.replace(healthy, slow=share)))
    found += [
        Case("all requests take twice as long", msgspec.structs.replace(healthy, slower=2.0)),
        Case("all requests take 40% longer", msgspec.structs.replace(healthy, slower=1.4)),
        Case("as good as stable", healthy),
    ]
    return found


def study(wish: Spec, *, rate: float, healthy: traffic.Version, runs: int, seed: int) -> Iterator[Row]:
    """A row for each case."""
    for case in cases(healthy):
        arms = traffic.Arms(
            rate=rate, stable=healthy, candidate=case.candidate, pods_stable=1, pods_candidate=1, threshold=1.0
        )
        yield Row(case.name, detection.ends(wish, arms, runs=runs, seed=seed))


def _of_file(file: str) -> Spec:
    try:
        found = [one for one in documents.read(Path(file).read_text(encoding="utf-8")) if checking.concerns(one)]
    except OSError as error:
        raise errors.PluginError(f"{file}: {error.strerror}") from error
    except (documents.NotReadable, UnicodeDecodeError) as error:
        raise errors.PluginError(f"{file}: {error}") from error
    if len(found) != 1:
        raise errors.PluginError(f"{file} must have one ModelDeployment, it has {len(found)}")
    broken = [one for one in checking.check(found[0], rate=None) if one.level is checking.Level.ERROR]
    if broken:
        raise errors.PluginError(f"{file}: {broken[0]}")
    return _spec(found[0])


def _of_cluster(name: str, **where: str | None) -> Spec:
    return _spec(connection.connect(**where).get(name))


def _spec(raw: dict[str, Any]) -> Spec:
    try:
        return msgspec.convert(raw["spec"], Spec, dec_hook=values.decode_hook)
    except msgspec.ValidationError as error:
        raise errors.PluginError(f"the spec can't be read by this release of the plugin: {error}") from error


def _table(rows: list[Row], *, rate: float, runs: int) -> Table:
    title = f"{runs} rollouts a row at {rate:g} requests a second"
    sheet = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    sheet.add_column("THE NEW VERSION", no_wrap=True)
    for heading in ("FOUND", "MEDIAN", "9 OF 10", "ANSWERS", "PROMOTED", "WAITING"):
        sheet.add_column(heading, justify="right")
    for row in rows:
        ends = row.ends
        sheet.add_row(
            row.regression,
            f"{100 * ends.found:.0f}%",
            _seconds(ends.median_seconds),
            _seconds(ends.most_seconds),
            "" if ends.median_requests is None else f"{ends.median_requests:.0f}",
            f"{100 * ends.promoted:.0f}%",
            f"{100 * ends.waiting:.0f}%",
        )
    return sheet


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
