"""Pictures for a terminal: evidence over time against its bound, and bins against a reference. Pure: text out.

The scale is the power of ten of the evidence, as a part of that of the bound: a metric is convicted at 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import plotext

from seatrial.analysis import judgement
from seatrial.drift import progress

HEIGHT = 18


class Line(msgspec.Struct, frozen=True):
    """One metric: the time since the picture begins, and how far its evidence had come to the bound."""

    name: str
    times: tuple[float, ...]
    parts: tuple[float, ...]


def lines(course: Sequence[judgement.Judgement]) -> tuple[Line, ...]:
    """Of every metric that has a bound, by seconds since the canary's step began; the one that came farthest first."""
    names = dict.fromkeys(metric.name for now in course for metric in now.metrics)
    found = [_line(name, course) for name in names]
    return tuple(sorted((one for one in found if one.times), key=lambda one: max(one.parts), reverse=True))


def _line(name: str, course: Sequence[judgement.Judgement]) -> Line:
    points = [
        (now.seconds, max(0.0, metric.log_evidence) / math.log(metric.bound))
        for now in course
        for metric in now.metrics
        if metric.name == name and metric.bound > 1
    ]
    return Line(name, tuple(at for at, _ in points), tuple(part for _, part in points))


def draw(found: Sequence[Line], *, title: str, times: str, width: int, colour: bool) -> str:
    """The picture as text: lines of the given width. `times`: what the time is counted in."""
    plotext.clear_figure()
    plotext.theme("pro" if colour else "clear")
    plotext.plotsize(width, HEIGHT)
    for one in found:
        plotext.plot(list(one.times), list(one.parts), label=one.name)
    plotext.hline(1)
    plotext.title(title)
    plotext.xlabel(times)
    picture = str(plotext.build())
    return picture if colour else str(plotext.uncolorize(picture))


def bars(found: progress.Beside, *, width: int) -> list[str]:
    """A line for each bin: a bar for its share now, and a mark where the reference has its own."""
    names = max(len(name) for name in found.bins)
    room = max(10, width - names - len(f"  {0:>8.1f}% {0:>7.1f}% "))
    most = max(*found.reference, *found.now)
    lines = [f"{'':<{names}}  reference      now"]
    for name, was, now in zip(found.bins, found.reference, found.now, strict=True):
        line = list(("█" * round(room * now / most)).ljust(room, " "))
        line[min(room - 1, round(room * was / most))] = "│"
        lines.append(f"{name:<{names}}  {100 * was:>8.1f}% {100 * now:>7.1f}% {''.join(line).rstrip()}")
    return lines
