"""`kubectl seatrial drift`: what has moved in the traffic of a version that serves, or in counts from a file."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from seatrial.api import status
from seatrial.drift import acceptance, kept, profile, progress, schedule, watch
from seatrial.drift import policy as policy_
from seatrial.drift.columns import Column, Kind
from seatrial.plugin import connection, drift_picture, errors, lazy, options, view, words
from seatrial.rollout import drifting, names, report

RECORDED = "seatrial.cli.drift:command"
STATE = "state.json.z"


@click.command()
@click.argument("what", metavar="NAME|FILE", shell_complete=options.names)
@click.option("--plot", is_flag=True, help="Draw the evidence over days, and the column that moved.")
@click.option("--changes", is_flag=True, help="Of a file: only hours that differ from the hour before.")
@click.option("-n", "--namespace", metavar="NAME", help="Namespace.  [default: the context's]")
@click.option("--context", metavar="NAME", help="Context of the kubeconfig.  [default: the current one]")
@click.option("--kubeconfig", metavar="FILE", help="[default: $KUBECONFIG, else ~/.kube/config]")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    what: str,
    plot: bool,
    changes: bool,
    namespace: str | None,
    context: str | None,
    kubeconfig: str | None,
) -> None:
    """Tell what has moved in the traffic of NAME's version that serves, or judge the counts in FILE again.

    The picture needs the right to read ConfigMaps, where the operator keeps what it remembers of the traffic: 28 days,
    written once a day and when an alarm begins or ends. A file (or - for standard input) is read without a cluster;
    `seatrial drift --help` says what is in it.
    """
    if what == "-" or "/" in what or what.endswith(".json") or Path(what).is_file():
        ctx.invoke(lazy.command(RECORDED), file=what, changes=changes, plot=plot)
        return
    connected = connection.connect(kubeconfig=kubeconfig, context=context, namespace=namespace)
    seen = view.of(connected.get(what))
    found = seen.status.drift
    if found is None:
        raise errors.WouldDoNothing(f"nothing is said of drift: {what} serves no version yet, or it is switched off")
    tell(seen, found)
    if plot:
        place = names.of_revision(what, found.revision)
        draw(
            seen,
            found.revision,
            config_map=connected.optional("v1", "configmaps", place) or {},
            state=connected.optional("v1", "configmaps", names.of_drift(what, found.revision)) or {},
        )


def tell(seen: view.View, found: status.DriftStatus) -> None:
    """What status says, as a sentence and a table."""
    console, condition = options.console(), seen.condition("Drifted")
    head = Text.assemble(
        (f"{seen.namespace}/{seen.name}", "bold"), f"  {found.outcome} since {found.since:%Y-%m-%d %H:%M}Z"
    )
    console.print(head)
    if condition is not None:
        console.print(Text(f"{condition.reason}: {condition.message}"), soft_wrap=True)
    if not found.columns:
        return
    sheet = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("COLUMN", "TEST", "WHERE", "SHARE", "REFERENCE", "TOLERATED", "OVER", "EVIDENCE"):
        named = heading in ("COLUMN", "WHERE")
        sheet.add_column(heading, overflow="fold" if named else "ellipsis", no_wrap=not named)
    for one in found.columns:
        style = "bold red" if one.outcome is status.DriftOutcome.DRIFTED else "yellow"
        bar = words.bar(words.part(one.evidence, one.bound), style=style)
        sheet.add_row(one.name, one.test, one.where, one.share, one.reference, one.tolerated, one.window, bar)
    console.print(sheet)


def draw(seen: view.View, revision: str, *, config_map: dict[str, Any], state: dict[str, Any]) -> None:
    """The picture, from the report of the trial and what the operator has kept of the traffic.

    Raises:
        errors.WouldDoNothing: there is nothing to draw, and why.
    """
    try:
        columns = profile.columns(bytes(_report(config_map).profile))
        packed = base64.b64decode((state.get("binaryData") or {}).get(STATE, ""), validate=True)
        memory, accepted = kept.unpack(packed, columns, revision=revision, hour=schedule.HOUR)
    except (profile.Unusable, kept.Unreadable, report.ReportError, binascii.Error, TypeError) as error:
        lacking = "you may not read it, or it is not written yet" if not (config_map and state) else str(error)
        raise errors.WouldDoNothing(f"there is nothing to draw of revision {revision}: {lacking}") from error
    watched = _asked(seen, columns)
    if accepted is not None:
        watched = acceptance.in_force(watched, accepted.references)
    policy = policy_.Policy() if seen.spec is None else drifting.policy(seen.spec.monitoring.drift)
    drift_picture.show(_steps(memory, watched, policy), columns=watched, policy=policy)


def _report(config_map: dict[str, Any]) -> report.Report:
    text = (config_map.get("data") or {}).get("report.json", "")
    return report.decode(text, report.digest_of(text))


def _asked(seen: view.View, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    attributed = seen.spec is not None and seen.spec.monitoring.attributions is not None
    return tuple(one for one in columns if attributed or one.kind is not Kind.ATTRIBUTION)


def _steps(memory: watch.Memory, columns: tuple[Column, ...], policy: policy_.Policy) -> Iterator[drift_picture.Step]:
    for past in (*progress.days(memory), memory):
        yield watch.judge(past, columns=columns, policy=policy)
