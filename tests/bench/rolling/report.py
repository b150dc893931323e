"""The table of a benchmark of rollouts, for a terminal and as a page of the reference. Pure."""

from __future__ import annotations

import collections
import math
import statistics
from collections.abc import Sequence

import msgspec
import rich.table
from tests.bench.rolling import rows

HEADINGS = (
    "case",
    "provider",
    "requests/s",
    "must",
    "median s",
    "worst s",
    "runs",
    "became of it",
    "errors served",
    "covered",
    "share asked / seen",
    "lost",
    "",
)
_NONE = "-"

Results = Sequence[tuple[rows.Row, Sequence[rows.Run]]]


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """Where, when and how it was measured."""

    command: str
    date: str
    machine: str
    minutes: float
    load: float
    side_by_side: int


def lines(results: Results) -> list[tuple[str, ...]]:
    return [_line(row, runs) for row, runs in results if runs]


def sheet(results: Results) -> rich.table.Table:
    table = rich.table.Table()
    for heading in HEADINGS:
        table.add_column(heading)
    for line in lines(results):
        table.add_row(*line)
    return table


def missed(results: Results) -> list[str]:
    return [f"{row.name}: {text}" for row, runs in results for text in (rows.missed(row, runs) if runs else ())]


def document(results: Results, about: Circumstances) -> str:
    """The page, in Markdown."""
    table = [HEADINGS, ("---",) * len(HEADINGS), *lines(results)]
    runs = [run for _, done in results for run in done]
    wrongs = missed(results)
    return _PAGE.format(
        about=about,
        sent=sum(run.sent for run in runs),
        skipped=sum(run.skipped for run in runs),
        wrong=sum(run.wrong for run in runs),
        table="\n".join(f"| {' | '.join(line)} |" for line in table),
        findings="\n".join(f"- **missed** {text}" for text in wrongs) or "Every must was kept.",
    )


def _line(row: rows.Row, runs: Sequence[rows.Run]) -> tuple[str, ...]:
    took = rows.seconds(row, runs)
    ends = collections.Counter(run.end.value for run in runs)
    errors = [run.errors for run in runs]
    seen = [run.seen for run in runs if run.seen is not None]
    asked = next((run.asked for run in runs if run.asked), 0)
    return (
        row.title,
        row.provider,
        str(row.rate),
        row.must,
        _seconds(statistics.median(took)),
        _seconds(max(took)),
        str(len(runs)),
        ", ".join(f"{count} {end}" for end, count in ends.items()),
        f"{statistics.median(errors):g}, at most {max(errors)}",
        f"{statistics.median(run.covered for run in runs):g}" if row.covered else _NONE,
        f"{asked} % / {statistics.median(seen):.0f} % ({min(seen):.0f} to {max(seen):.0f})" if seen else _NONE,
        str(sum(run.lost for run in runs)),
        "MISSED" if rows.missed(row, runs) else "kept",
    )


def _seconds(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else _NONE


_PAGE = """# Rollouts, measured

Made by `make bench-rollouts` on {about.date}, as `{about.command}`,
on {about.machine}, in {about.minutes:.0f} minutes.
Load average of the machine: {about.load:.1f} at most; more than the number of CPUs means that pods, operator and
clients waited for each other.

Real rollouts on the test cluster, the operator from its chart: 4 replicas, steps of the share asked for and 50 % for
60 s each, no copies before them, `interval: 5s`, `latency.threshold: 50ms`, Prometheus scraping every 5 s, everything
else by default; {about.side_by_side} namespaces side by side. Each run has a namespace of its own: stable is installed,
gets traffic for one minute, then the candidate is applied. Clients send marked rows, of which each version fails on its
own share. In the outage `errors.max` is 1 %, both versions fail six times as often from the candidate's first answers
on, and the run ends 150 s later.

Seconds run from the candidate's first answer, as the client got it or stable's in its place, to the verdict; where
every request fails, to `zeroWeightAt`, when no endpoint led to it any more and nothing was relayed. *Errors served* are
the candidate's failed answers, median and most; *covered*, answers that stable gave in its place, median. *Seen* is
`measuredShare` at the end of the first step, median and range.
{sent:,} requests were sent, {skipped} skipped because no connection was free, {wrong} went wrong by nobody's model.

{table}

{findings}
"""
