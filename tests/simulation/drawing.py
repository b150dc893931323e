"""Small pictures as SVG text: axes, lines, bands, bars. The same numbers give the same bytes."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Sequence

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 150, 34, 44
INK, PALE = "#333", "#bbb"
COLOURS = ("#0b6fa4", "#c1440e", "#3b7d3a")


@dataclasses.dataclass(frozen=True)
class Axes:
    """A plane from `low` to `high`; ticks are values with their words."""

    low: tuple[float, float]
    high: tuple[float, float]
    ticks_x: Sequence[tuple[float, str]]
    ticks_y: Sequence[tuple[float, str]]
    title: str
    label_x: str

    def x(self, value: float) -> float:
        part = (value - self.low[0]) / (self.high[0] - self.low[0])
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        part = (min(value, self.high[1]) - self.low[1]) / (self.high[1] - self.low[1])
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)


class Picture:
    """Parts are drawn in the order in which they are added."""

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        self._parts: list[str] = []
        self._legend = 0
        for value, words in axes.ticks_y:
            self._line((axes.low[0], value), (axes.high[0], value), colour="#e6e6e6")
            self._text(LEFT - 6, axes.y(value) + 4, words, anchor="end")
        for value, words in axes.ticks_x:
            self._text(axes.x(value), HEIGHT - BOTTOM + 16, words, anchor="middle")
        self._text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, axes.label_x, anchor="middle")
        self._text(LEFT, TOP - 14, axes.title, anchor="start", weight="bold")

    def curve(self, points: Sequence[tuple[float, float]], *, colour: str, words: str = "") -> None:
        """A line through these points."""
        text = " ".join(f"{self._axes.x(x):.1f},{self._axes.y(y):.1f}" for x, y in points)
        self._parts.append(f'<polyline points="{text}" fill="none" stroke="{colour}" stroke-width="2"/>')
        self._explain(words, colour)

    def band(self, points: Sequence[tuple[float, float, float]], *, colour: str) -> None:
        """Between two limits."""
        there = [(x, low) for x, low, _ in points]
        back = [(x, high) for x, _, high in reversed(points)]
        text = " ".join(f"{self._axes.x(x):.1f},{self._axes.y(y):.1f}" for x, y in (*there, *back))
        self._parts.append(f'<polygon points="{text}" fill="{colour}" fill-opacity="0.18"/>')

    def bar(self, x: float, value: float, *, width: float, colour: str) -> None:
        """From the axis up; `x` is its left end."""
        left, top = self._axes.x(x), self._axes.y(value)
        size = f'width="{self._axes.x(x + width) - left:.1f}" height="{HEIGHT - BOTTOM - top:.1f}"'
        self._parts.append(f'<rect x="{left:.1f}" y="{top:.1f}" {size} fill="{colour}"/>')

    def level(self, value: float, words: str) -> None:
        """A dashed line across."""
        self._line((self._axes.low[0], value), (self._axes.high[0], value), colour=INK, dashes="5 4")
        self._text(WIDTH - RIGHT + 6, self._axes.y(value) + 4, words, anchor="start")

    def moment(self, value: float, words: str) -> None:
        """A dotted line upwards, with words at its head."""
        self._line((value, self._axes.low[1]), (value, self._axes.high[1]), colour=PALE, dashes="2 3")
        self._text(self._axes.x(value) + 4, TOP + 18, words, anchor="start")

    def explain(self, words: str, colour: str) -> None:
        """A line of the legend."""
        self._explain(words, colour)

    def svg(self) -> str:
        """The document."""
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        return "\n".join(
            [f'{head} font-size="12">', '<rect width="100%" height="100%" fill="white"/>', *self._parts, "</svg>", ""]
        )

    def _explain(self, words: str, colour: str) -> None:
        if words:
            top = TOP + 8 + 18 * self._legend
            self._legend += 1
            self._parts.append(f'<rect x="{WIDTH - RIGHT + 6}" y="{top - 9}" width="10" height="10" fill="{colour}"/>')
            self._text(WIDTH - RIGHT + 20, top, words, anchor="start")

    def _line(self, one: tuple[float, float], two: tuple[float, float], *, colour: str, dashes: str = "") -> None:
        places = " ".join(
            f'{name}{number}="{value:.1f}"'
            for number, (x, y) in enumerate((one, two), 1)
            for name, value in (("x", self._axes.x(x)), ("y", self._axes.y(y)))
        )
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self._parts.append(f'<line {places} stroke="{colour}"{dashed}/>')

    def _text(self, x: float, y: float, words: str, *, anchor: str, weight: str = "normal") -> None:
        told = html.escape(words)
        style = f'text-anchor="{anchor}" font-weight="{weight}" fill="{INK}"'
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" {style}>{told}</text>')
