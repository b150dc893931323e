"""The user's own numbers: one from each expression, held to bounds. No statistics, so one bad number proves nothing.

A metric fails once `IN_A_ROW` answers in a row are out of bounds; before that it is suspected, and the weight is held.
Whatever is not exactly one finite number says so and passes nothing, unless the spec says that it may be ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from seatrial.analysis.judgement import Outcome
from seatrial.api import spec

IN_A_ROW = 2
SCRAPES_OF_A_RANGE = 4  # a rate over fewer is missing or wild as often as not
KEPT = 8  # answers

_PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_RANGE = re.compile(r"\[([0-9]+)(ms|s|m|h|d)\]")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class UnknownPlaceholder(ValueError):
    """The text names it and those that there are."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an expression gave: one number for each series, or why there is nothing."""

    at: datetime
    values: tuple[float, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str = ""
    misconfigured: bool = False


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Where one metric stands. `value` is None where there is no number."""

    name: str
    outcome: Outcome
    message: str
    value: float | None = None
    misconfigured: bool = False


def filled(metric: spec.Metric, values: Mapping[str, str]) -> str:
    """The expression with its placeholders filled in, fit to stand between double quotes.

    Raises:
        UnknownPlaceholder
    """

    def fill(found: re.Match[str]) -> str:
        name = found[1]
        if name not in values:
            known = ", ".join(f"{{{{{one}}}}}" for one in values)
            raise UnknownPlaceholder(
                f"spec.analysis.metrics {metric.name}: there is no {{{{{name[:40]}}}}}, only {known}"
            )
        return values[name].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return _PLACEHOLDER.sub(fill, metric.query)


def judge(
    metric: spec.Metric,
    answers: Sequence[Answer],
    *,
    now: datetime,
    patience: timedelta,
    scrape_interval: timedelta,
) -> Result:
    """The outcome of the answers so far, oldest first.

    Args:
        patience: with onNoData Rollback, how long there may be no number.
    """
    if not answers:
        return _without(metric, Outcome.NO_DATA, "not asked for yet")
    newest, numbers = answers[-1], [_number(one) for one in answers]
    if isinstance(numbers[-1], str) and metric.on_no_data is spec.OnNoData.IGNORE and not newest.misconfigured:
        return _without(metric, Outcome.PASS, f"{numbers[-1]}; ignored")
    if isinstance(numbers[-1], str):
        return _no_number(metric, answers, numbers, now=now, patience=patience, scrape_interval=scrape_interval)
    value, words = numbers[-1], f"{metric.name} is {numbers[-1]:.6g}, {_bounds(metric)}"
    if not _beyond(metric, value):
        return Result(name=metric.name, outcome=Outcome.PASS, value=value, message=words)
    row = 0
    for one in reversed(numbers):
        if isinstance(one, str) or not _beyond(metric, one):
            break
        row += 1
    failed = row >= IN_A_ROW
    return Result(
        name=metric.name,
        outcome=Outcome.FAIL if failed else Outcome.INCONCLUSIVE,
        value=value,
        message=f"{words}, {row} time{'s' if row > 1 else ''} in a row, last at {newest.at:%H:%M:%S} UTC",
    )


def _no_number(
    metric: spec.Metric,
    answers: Sequence[Answer],
    numbers: Sequence[float | str],
    *,
    now: datetime,
    patience: timedelta,
    scrape_interval: timedelta,
) -> Result:
    newest = answers[-1]
    why = str(numbers[-1])
    short = _too_short(metric.query, scrape_interval)
    if short and not newest.error:
        why += f"; its range {short} holds fewer than {SCRAPES_OF_A_RANGE} scrapes"
    kind = Outcome.ERROR if newest.error else Outcome.NO_DATA
    if metric.on_no_data is spec.OnNoData.ROLLBACK and not newest.misconfigured:
        seen = [one.at for one, number in zip(answers, numbers, strict=True) if not isinstance(number, str)]
        since = max(seen, default=answers[0].at)
        if now - since >= patience:
            return _without(metric, Outcome.FAIL, f"{why}, for {round((now - since).total_seconds())} s")
    return _without(metric, kind, why, misconfigured=newest.misconfigured)


def _without(metric: spec.Metric, outcome: Outcome, why: str, *, misconfigured: bool = False) -> Result:
    message = f"{metric.name} has no number: {why}"
    return Result(name=metric.name, outcome=outcome, message=message, misconfigured=misconfigured)


def _number(answer: Answer) -> float | str:
    """The number, or why there is none."""
    if answer.error:
        return answer.error
    if answer.warnings:
        return f"the answer may be partial: {answer.warnings[0]}"
    if not answer.values:
        return "the query gives no series"
    if len(answer.values) > 1:
        return f"the query gives {len(answer.values)} series, it must give one: aggregate them"
    value = answer.values[0]
    if not math.isfinite(value):
        return f"the query gives {value:g}, as a division by zero does"
    return value


def _beyond(metric: spec.Metric, value: float) -> bool:
    above = metric.max is not None and value > float(metric.max)
    return above or (metric.min is not None and value < float(metric.min))


def _bounds(metric: spec.Metric) -> str:
    parts = [f"at least {metric.min}" if metric.min is not None else "", f"at most {metric.max}" if metric.max else ""]
    return "allowed " + " and ".join(part for part in parts if part)


def _too_short(query: str, scrape_interval: timedelta) -> str:
    for amount, unit in _RANGE.findall(query):
        if float(amount) * _UNITS[unit] < SCRAPES_OF_A_RANGE * scrape_interval.total_seconds():
            return f"[{amount}{unit}]"
    return ""
