"""`kubectl seatrial get`: one deployment as a tree, or all of them as a table; with `-w` as they change."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click
from rich.console import RenderableType
from rich.live import Live
from rich.table import Table

from seatrial.plugin import options, tree, view, words
from seatrial.plugin.connection import Connection, Object, Objects

WATCHED = 300.0  # seconds of one request; then another one goes on


@click.command()
@click.argument("name", required=False, shell_complete=options.names)
@options.everywhere
@click.option("-w", "--watch", is_flag=True, help="Go on showing it as it changes, until interrupted.")
@options.output
@options.cluster
def command(*, name: str | None, everywhere: bool, watch: bool, output: str | None, connected: Connection) -> None:
    """Show a model deployment as a tree: pods, shares asked for and seen, evidence against its bound.

    Without NAME: all of the namespace, one a line.
    """
    if name is not None and everywhere:
        raise click.UsageError("give NAME or -A, not both: a name is one of a namespace")
    if watch and output:
        raise click.UsageError("-w shows it to people; kubectl get mdeploy -w -o json is for programs")
    if output:
        found = connected.get(name) if name is not None else _list(connected.list(everywhere=everywhere))
        click.echo(options.data(found, output))
        return
    console = options.console()
    if not watch:
        found_now = [connected.get(name)] if name is not None else connected.list(everywhere=everywhere)
        console.print(_shown(connected, found_now, name, everywhere=everywhere))
        return
    shown = _changes(connected, name, everywhere=everywhere)
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            for one in shown:
                live.update(one, refresh=True)
    else:
        for one in shown:
            console.print(one)


def _list(items: list[dict[str, object]]) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _changes(connected: Connection, name: str | None, *, everywhere: bool) -> Iterator[RenderableType]:
    """What there is, then again after every change, until the object is gone. The first look tells what is wrong."""
    if name is not None:
        connected.get(name)
    while True:
        begun = time.monotonic()
        found, version = connected.listed(name, everywhere=everywhere)
        if name is not None and not found:
            yield f"{name} is deleted"
            return
        yield _shown(connected, found, name, everywhere=everywhere)
        for changed in connected.watch(name, since=version, everywhere=everywhere, seconds=WATCHED):
            if name is not None and "deletionTimestamp" in changed["metadata"]:
                yield f"{name} is deleted"
                return
            # As the watch brought it: by now it may be gone, which the next change tells.
            now = [changed] if name is not None else connected.list(everywhere=everywhere)
            yield _shown(connected, now, name, everywhere=everywhere)
        time.sleep(max(0.0, 1.0 - (time.monotonic() - begun)))  # a watch that ends at once is no reason to hurry


def _shown(connected: Connection, found: Objects, name: str | None, *, everywhere: bool) -> RenderableType:
    if name is not None:
        return _tree(connected, found[0])
    if not found:
        where = "any namespace" if everywhere else f"namespace {connected.namespace}"
        return f"There are no model deployments in {where}."
    return _table([view.of(one) for one in found], everywhere=everywhere)


def _tree(connected: Connection, raw: Object) -> RenderableType:
    seen = view.of(raw)
    return tree.render(seen, connected.pods(f"{view.SELECTOR}={seen.name}"), now=words.now())


def _table(found: list[view.View], *, everywhere: bool) -> Table:
    sheet = Table(box=None, pad_edge=False, header_style="bold")
    for heading in (*(("NAMESPACE",) if everywhere else ()), "NAME", "READY", "STATUS", "STABLE", "CANDIDATE"):
        sheet.add_column(heading, overflow="fold")
    for heading in ("ASKED", "SEEN"):
        sheet.add_column(heading, justify="right")
    sheet.add_column("EVIDENCE")
    for one in found:
        told = one.status
        ready = one.condition("Ready")
        sheet.add_row(
            *((one.namespace,) if everywhere else ()),
            one.name,
            ready.status.value if ready else "Unknown",
            one.reason,
            told.stable.model_version if told.stable else "",
            told.candidate.model_version if told.candidate else "",
            f"{told.candidate.weight}%" if told.candidate else "",
            (told.traffic.measured_share or "") if told.traffic and told.candidate else "",
            _strongest(one),
        )
    return sheet


def _strongest(one: view.View) -> str:
    """The metric that is nearest to its bound."""
    if one.status.analysis is None or one.status.candidate is None:
        return ""
    far = [(words.progress(metric) or 0.0, metric) for metric in one.status.analysis.metrics if metric.evidence]
    if not far:
        return one.status.analysis.outcome
    _, metric = max(far, key=lambda pair: pair[0])
    return f"{metric.name} {metric.evidence} of {metric.bound}"
