"""The user's own PromQL, one number each: what an answer means. Nothing is fetched here.

What the query language makes easy to get wrong ends as NoData and not as a pass: no series (an aggregation over nothing
answers nothing, not zero), several series (which one was meant?), NaN (0/0: nobody has asked yet), a sample from before
the window. Infinity is a number: something divided by zero, beyond every maximum.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence

import msgspec

from seatrial.analysis.judgement import Outcome


class OnNoData(enum.StrEnum):
    """What missing data do to a step."""

    HOLD = "Hold"
    ROLLBACK = "Rollback"
    IGNORE = "Ignore"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What is allowed of one number: from `least` to `most`, both included; None is no limit."""

    name: str
    least: float | None = None
    most: float | None = None
    on_no_data: OnNoData = OnNoData.HOLD


class Sample(msgspec.Struct, frozen=True):
    """One series of an instant query's answer: unix time and value."""

    moment: float
    value: float


class Result(msgspec.Struct, frozen=True):
    """What one metric says; `value` is None where there is none to show."""

    name: str
    outcome: Outcome
    message: str
    value: float | None = None


def judge(
    limits: Limits, answer: Sequence[Sample], *, since: float | None = None, warnings: Sequence[str] = ()
) -> Result:
    """The outcome of one metric.

    Args:
        answer: the series of an instant query, a scalar as one of them.
        since: a sample older than that is about other traffic.
        warnings: of Prometheus; its answer may be partial then.
    """
    missing = _missing(answer, since=since, warnings=warnings)
    if missing:
        return _without_data(limits, missing)
    value = answer[0].value
    if limits.most is not None and value > limits.most:
        return Result(
            limits.name, Outcome.FAIL, f"{limits.name}: {value:.4g} is above the maximum {limits.most:.4g}", value
        )
    if limits.least is not None and value < limits.least:
        return Result(
            limits.name, Outcome.FAIL, f"{limits.name}: {value:.4g} is below the minimum {limits.least:.4g}", value
        )
    return Result(limits.name, Outcome.PASS, f"{limits.name}: {value:.4g}", value)


def _missing(answer: Sequence[Sample], *, since: float | None, warnings: Sequence[str]) -> str:
    """Why the answer is no number, or nothing."""
    if warnings:
        return f"Prometheus warns that its answer may be partial: {warnings[0]}"
    if not answer:
        return "the query finds no series; an aggregation over nothing is nothing, not 0"
    if len(answer) > 1:
        return (
            f"the query finds {len(answer)} series where one number is needed: aggregate them, for example with sum()"
        )
    if math.isnan(answer[0].value):
        return "the query gives NaN, as 0/0 does: nothing was counted in its window"
    if since is not None and answer[0].moment < since:
        return f"the sample is {since - answer[0].moment:.0f} s older than the step"
    return ""


def _without_data(limits: Limits, why: str) -> Result:
    match limits.on_no_data:
        case OnNoData.ROLLBACK:
            return Result(limits.name, Outcome.FAIL, f"{limits.name}: {why} (onNoData: Rollback)")
        case OnNoData.IGNORE:
            return Result(limits.name, Outcome.PASS, f"{limits.name}: not judged: {why} (onNoData: Ignore)")
        case OnNoData.HOLD:
            return Result(limits.name, Outcome.NO_DATA, f"{limits.name}: {why}")


def worst(results: Sequence[Result]) -> Outcome:
    """Of several metrics together: one that fails decides, one without data holds."""
    order = (Outcome.FAIL, Outcome.ERROR, Outcome.NO_DATA, Outcome.INCONCLUSIVE)
    found = {result.outcome for result in results}
    return next((outcome for outcome in order if outcome in found), Outcome.PASS)
