"""The live view: one line of state while a version is on its way; plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import rich.console
import rich.live
import rich.table
from tests.cluster import watching
from tests.cluster.demo.scenarios import Scenario

from seatrial.api.status import MetricStatus

SHOWN = ("errors", "latency")


class View:
    """Shows sights as they come."""

    def __init__(self, console: rich.console.Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._began = clock()
        self._live: rich.live.Live | None = None
        self._last = ""
        self._conditions: dict[str, tuple[str, str]] = {}

    def say(self, text: str) -> None:
        self._console.print(f"[{self._elapsed()}] {text}", markup=False, highlight=False, soft_wrap=True)

    def begin(self, scenario: Scenario) -> None:
        self.end()
        self.say(f"{scenario.sample}: {scenario.title}")
        self._conditions = {}
        self._last = ""
        if self._console.is_terminal:
            self._live = rich.live.Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()

    def show(self, sight: watching.Sight) -> None:
        if self._live is not None:
            self._live.update(_panel(sight))
        line = _line(sight, figures=self._live is None)
        if line != self._last:
            self._last = line
            self.say("  " + line)

    def condition(self, kind: str, sight: watching.Sight) -> None:
        """Said when it is another one, with the first of several sentences."""
        status, reason, message = sight.condition(kind)
        if reason and self._conditions.get(kind) != (status, reason):
            self._conditions[kind] = (status, reason)
            first, *more = message.split(" | ")
            self.say(f"  {kind}={status} {reason}: {first}" + (f" | and {len(more)} more" if more else ""))

    def end(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(self._clock() - self._began), 60)
        return f"{minutes:2d}:{seconds:02d}"


class Shares:
    """Of the requests, asked and seen, by step."""

    def __init__(self) -> None:
        self._seen: dict[int, str] = {}

    def note(self, sight: watching.Sight) -> None:
        traffic = sight.status.traffic
        if traffic is not None and traffic.measured_share and 0 < traffic.desired_weight < 100:
            self._seen[traffic.desired_weight] = traffic.measured_share

    @property
    def text(self) -> str:
        return ", ".join(f"{asked}% / {seen}" for asked, seen in self._seen.items())


def _line(sight: watching.Sight, *, figures: bool) -> str:
    """Phase, weight and reason; with `figures` what changes at every look as well, for those without a live view."""
    status = sight.status
    candidate = status.candidate
    parts = [status.phase.value]
    if candidate is not None:
        parts.append(f"version {candidate.model_version}, weight {candidate.weight}%")
    parts.append(sight.ready[1])
    if figures and candidate is not None and candidate.weight:
        if status.traffic is not None and status.traffic.measured_share:
            parts.append(f"measured {status.traffic.measured_share}")
        parts += (
            [_figures(metric) for metric in status.analysis.metrics if metric.name in SHOWN] if status.analysis else []
        )
    return ", ".join(parts)


def _figures(metric: MetricStatus) -> str:
    return f"{metric.name} {metric.candidate} against {metric.stable}, evidence {metric.evidence} of {metric.bound}"


def _panel(sight: watching.Sight) -> rich.table.Table:
    """What changes at every look."""
    status, traffic = sight.status, sight.status.traffic
    table = rich.table.Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("phase", status.phase.value)
    table.add_row("stable", status.stable.model_version if status.stable else "-")
    if status.candidate is not None:
        table.add_row("candidate", f"{status.candidate.model_version}, step {status.candidate.step}")
    if traffic is not None:
        table.add_row("weight", f"asked {traffic.desired_weight}%, measured {traffic.measured_share or '-'}")
    for metric in status.analysis.metrics if status.analysis and status.candidate else ():
        table.add_row(metric.name, _figures(metric).removeprefix(metric.name))
    table.add_row("traffic", f"{sight.books.sent} sent, {sight.books.model_errors} failed, {sight.books.lost} lost")
    table.add_row("message", sight.message)
    return table


def result_table(rows: Sequence[Sequence[str]]) -> rich.table.Table:
    """The demo's outcome, a row per version."""
    table = rich.table.Table(title="Seatrial demo")
    headers = (
        "version",
        "expected",
        "seen",
        "breach -> zero",
        "share asked / seen",
        "it answered",
        "covered",
        "errors users saw",
        "lost",
    )
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
