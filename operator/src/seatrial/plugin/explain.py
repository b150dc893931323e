"""`kubectl seatrial explain`: why a version is where it is: the verdict, the numbers that it rests on, what to do."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from seatrial.api import status
from seatrial.plugin import asking, chart, kept, options, view, words
from seatrial.plugin.connection import Connection

WIDTH = 100
EVENTS = 5
FAILED = "Fail"


@click.command()
@options.name
@click.option("--plot", is_flag=True, help="Draw the evidence over time, or as far as it came, against its bound.")
@options.output
@options.cluster
def command(*, name: str, plot: bool, output: str | None, connected: Connection) -> None:
    """Explain the verdict on the version that the spec asks for: sentence, evidence, tests, and what to do.

    The picture over time needs the right to read ConfigMaps, where the operator keeps the evidence of a rollback;
    without it, and while nothing was decided, it shows how far the evidence has come.
    """
    seen = view.of(connected.get(name))
    if output:
        click.echo(options.data(_data(seen), output))
        return
    console = options.console()
    console.print(_sentences(seen))
    if (analysis := seen.status.analysis) is not None and analysis.metrics:
        console.print(_table(analysis))
    if (trial := seen.status.trial) is not None:
        _trial(console, trial)
    if plot:
        _picture(console, seen, connected)
    _events(console, connected.events(name))
    console.print(Text(f"\n{advice(seen)}"))


def _data(seen: view.View) -> dict[str, object]:
    told = seen.status
    return {
        "name": seen.name,
        "namespace": seen.namespace,
        "phase": told.phase,
        "reason": seen.reason,
        "message": seen.message,
        "verdict": seen.verdict,
        "analysis": told.analysis,
        "trial": told.trial,
        "lastRollback": told.last_rollback,
        "advice": advice(seen),
    }


def _sentences(seen: view.View) -> Text:
    text = Text.assemble((f"{seen.namespace}/{seen.name}", "bold"), f"  {seen.status.phase}, {seen.reason}\n")
    text.append(seen.message)
    found = seen.verdict
    if found is not None:
        style = {"Promoted": "green", "Rejected": "bold red"}.get(found.verdict, "")
        text.append("\nverdict: ", style="bold").append(f"{found.verdict}", style=style)
        text.append(f" ({found.reason}) {found.at:%Y-%m-%d %H:%M:%S}Z: {found.message}")
    back = seen.status.last_rollback
    if back is not None and found is not None and back.source == found.revision:
        took = f"; it had no traffic {back.seconds:.1f} s later" if back.seconds is not None else ""
        text.append(f"\nrollback: seen at {back.breach_at:%H:%M:%S}Z{took}")
    return text


def _table(analysis: status.AnalysisStatus) -> Table:
    title = f"evidence at {analysis.at:%Y-%m-%d %H:%M:%S}Z over {analysis.window} ({analysis.source})"
    sheet = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for heading in ("METRIC", "CANDIDATE", "STABLE", "RATIO (99 % LIMITS)", "EVIDENCE", "BOUND", "", "OUTCOME"):
        right = heading in ("CANDIDATE", "STABLE", "EVIDENCE", "BOUND")
        sheet.add_column(heading, justify="right" if right else "left")
    for metric in analysis.metrics:
        style = words.STYLES.get(metric.outcome, "")
        sheet.add_row(
            metric.name,
            words.share(metric.candidate),
            words.share(metric.stable),
            words.limits(metric),
            metric.evidence,
            metric.bound,
            words.bar(words.progress(metric), style=style),
            Text(metric.outcome, style=style),
        )
    return sheet


def _trial(console: Console, trial: status.TrialStatus) -> None:
    """The trial and what failed in it; tests that passed are counted only."""
    failed = [one for one in trial.tests if one.outcome == FAILED]
    passed = len(trial.tests) - len(failed)
    words_ = f"trial: {trial.outcome}" + (f": {trial.message}" if trial.message else "")
    console.print(Text(words_ + (f" ({passed} of {len(trial.tests)} tests passed)" if trial.tests else "")))
    for one in failed:
        console.print(Text(f"  {one.name}: {one.observed}, asked for {one.bound}, {one.rows} rows", style="red"))


def _events(console: Console, events: list[dict[str, Any]]) -> None:
    """What the operator has said of it lately; events are kept for an hour or so."""
    for one in events[-EVENTS:]:
        ago = words.age(one.get("eventTime") or one.get("deprecatedLastTimestamp"), words.now())
        style = "yellow" if one.get("type") == "Warning" else "dim"
        console.print(Text.assemble((f"{ago} ago {one.get('reason', '')}: ", style), str(one.get("note", ""))))


def _picture(console: Console, seen: view.View, connected: Connection) -> None:
    course = kept.course(seen, connected)
    if course:
        width = min(console.width, WIDTH)
        picture = chart.draw(
            chart.lines(course),
            title="evidence against the version; it is rolled back at 1",
            times="seconds since the step began",
            width=width,
            colour=console.is_terminal,
        )
        console.print(Text.from_ansi(picture) if console.is_terminal else Text(picture))
        return
    analysis = seen.status.analysis
    if analysis is None or not analysis.metrics:
        console.print("There is no evidence to draw yet.")
        return
    console.print(Text("\nhow far the evidence has come; a version is rolled back at the right end", style="bold"))
    for metric in analysis.metrics:
        part = words.progress(metric)
        line = Text(f"{metric.name:<16} ")
        line.append("█" * round((part or 0.0) * (WIDTH // 2)), style=words.STYLES.get(metric.outcome, ""))
        line.append("░" * (WIDTH // 2 - round((part or 0.0) * (WIDTH // 2))), style="dim").append("│")
        console.print(line)


def advice(seen: view.View) -> str:
    """What to do next, in a sentence."""
    candidate, name = seen.status.candidate, seen.name
    if not seen.seen:
        return "Wait: the operator hasn't seen the newest spec yet."
    if candidate is not None and candidate.hold is not None and candidate.hold.by_command:
        return f"kubectl seatrial resume {name} goes on."
    if candidate is not None and (candidate.hold is not None or candidate.waiting_for_approval):
        return f"kubectl seatrial promote {name} goes on, kubectl seatrial abort {name} rejects it."
    if candidate is not None:
        return f"kubectl seatrial get {name} -w shows how it goes on; nothing is to be done."
    if seen.is_true("Stalled") and not asking.why_not("retry", seen):
        return f"Change spec.model; or, if the cause was elsewhere and is mended, kubectl seatrial retry {name}."
    if seen.is_true("Stalled"):
        return "Change the spec: nothing goes on by itself."
    return "Nothing is to be done."
