"""What `seatrial drift --plot` draws: evidence over days, and the column that came farthest beside its reference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.text import Text

from seatrial.drift import progress, watch
from seatrial.drift.columns import Column
from seatrial.drift.judgement import Judgement
from seatrial.drift.policy import Policy
from seatrial.plugin import chart, options

WIDTH = 100
LINES = 5
MOST = 2
"""Of the way to the bound: what is far beyond it would leave nothing of the way to be seen."""
DAY = 24
Step = tuple[watch.Memory, Judgement]


def show(steps: Iterable[Step], *, columns: Sequence[Column], policy: Policy) -> None:
    """Print it, with the last judgement in words."""
    course: dict[tuple[str, str], list[tuple[int, float]]] = {}
    last: Step | None = None
    for memory, judged in steps:
        last = memory, judged
        for one in progress.of(memory, columns=columns, policy=policy):
            course.setdefault((one.column, one.question), []).append((judged.at, one.part))
    if last is None:
        return
    memory, judged = last
    console = options.console()
    width = min(console.width, WIDTH)
    farthest = sorted(course, key=lambda key: -max(part for _, part in course[key]))[:LINES]
    if farthest:
        picture = chart.draw(
            [_line(key, course[key], begin=min(at for at, _ in course[key])) for key in farthest],
            title=f"evidence of drift; it alarms at 1, and is drawn up to {MOST}",
            times="days",
            width=width,
            colour=console.is_terminal,
        )
        console.print(Text.from_ansi(picture) if console.is_terminal else Text(picture))
    for column in _first(columns, farthest, judged):
        if (found := progress.beside(memory, column)) is not None:
            console.print(Text(f"{column.name}: {found.rows} rows of the last {found.hours} hours; │ is the reference"))
            console.print(Text("\n".join(chart.bars(found, width=width))))
    console.print(Text(f"\n{judged.outcome}: {judged.message}"), soft_wrap=True)


def _first(columns: Sequence[Column], farthest: Sequence[tuple[str, str]], judged: Judgement) -> list[Column]:
    """The column of the strongest finding, else the one whose evidence came farthest."""
    names = [*(finding.column for finding in judged.columns), *(name for name, _ in farthest)]
    return [column for column in columns if column.name == names[0]][:1] if names else []


def _line(key: tuple[str, str], points: Sequence[tuple[int, float]], *, begin: int) -> chart.Line:
    name, question = key
    times = tuple((at - begin) / DAY for at, _ in points)
    return chart.Line(f"{name} {question.lower()}", times, tuple(min(MOST, part) for _, part in points))
