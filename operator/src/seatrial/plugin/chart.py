"""Pictures for a terminal: the evidence of each metric over time, against its bound. Pure: text out.

The scale is the power of ten of the evidence, as a part of that of the bound: every metric is convicted at 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import plotext

from seatrial.analysis import judgement

HEIGHT = 18


class Line(msgspec.Struct, frozen=True):
    """One metric: seconds since the canary's step began, and how far its evidence had come to the bound."""

    name: str
    seconds: tuple[float, ...]
    parts: tuple[float, ...]


def lines(course: Sequence[judgement.Judgement]) -> tuple[Line, ...]:
    """Of every metric that has a bound; the one that came farthest first."""
    names = dict.fromkeys(metric.name for now in course for metric in now.metrics)
    found = [_line(name, course) for name in names]
    return tuple(sorted((one for one in found if one.seconds), key=lambda one: max(one.parts), reverse=True))


def _line(name: str, course: Sequence[judgement.Judgement]) -> Line:
    points = [
        (now.seconds, max(0.0, metric.log_evidence) / math.log(metric.bound))
        for now in course
        for metric in now.metrics
        if metric.name == name and metric.bound > 1
    ]
    return Line(name, tuple(at for at, _ in points), tuple(part for _, part in points))


def draw(found: Sequence[Line], *, width: int, colour: bool) -> str:
    """The picture as text: lines of the given width."""
    plotext.clear_figure()
    plotext.theme("pro" if colour else "clear")
    plotext.plotsize(width, HEIGHT)
    for one in found:
        plotext.plot(list(one.seconds), list(one.parts), label=one.name)
    plotext.hline(1)
    plotext.title("evidence against the version; it is rolled back at 1")
    plotext.xlabel("seconds since the step began")
    picture = str(plotext.build())
    return picture if colour else str(plotext.uncolorize(picture))
