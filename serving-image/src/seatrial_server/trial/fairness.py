"""Tests of fairness: a rate must be alike in all groups. They fail only when the gap is proven.

Every pair of groups is looked at, so each gets its part of the 5 % by which any of them may be wrong (Bonferroni).
"""

from __future__ import annotations

import itertools

from seatrial_server.model import declared
from seatrial_server.trial import groups, limits, metrics, naming, report, subject


def evaluate(test: declared.FairnessTest, on: subject.Subject) -> tuple[report.TestResult, list[report.Evaluation]]:
    """The result, and each group's rate."""
    if test.max_gap is None and test.min_ratio is None:
        raise naming.invalid(test.name, "give maxGap, minRatio or both")
    try:
        rates = _rates(test, on)
    except metrics.Unmeasurable as error:
        raise naming.invalid(test.name, str(error)) from error
    if len(rates) < 2:
        raise naming.invalid(test.name, f"no two groups of {test.by!r} have {test.min_rows} rows that count")
    chance = limits.CHANCE / (len(rates) * (len(rates) - 1) / 2)
    failures = [
        words
        for left, right in itertools.combinations(rates, 2)
        if (words := _apart(test, *sorted((left, right), key=lambda pair: pair[1].value), chance=chance))
    ]
    values = sorted(one.value for _, one in rates)
    gap, ratio = values[-1] - values[0], values[0] / values[-1] if values[-1] else 1.0
    of_gap = test.max_gap is not None
    result = report.TestResult(
        name=test.name,
        outcome="Fail" if failures else "Pass",
        metric=f"{'gap' if of_gap else 'ratio'} of {test.metric}",
        observed=gap if of_gap else ratio,
        bound=(test.max_gap if of_gap else test.min_ratio) or 0.0,
        rows=sum(one.rows for _, one in rates),
        message="; ".join(failures[:3]),
    )
    return result, [_evaluation(test, name, one) for name, one in rates]


def _rates(test: declared.FairnessTest, on: subject.Subject) -> groups.Measured:
    outcomes, _ = on.outcomes(test.dataset)
    metrics.measure(test.metric, outcomes, label=test.label)  # says what is lacking altogether
    return groups.measured(test, on)


def _apart(
    test: declared.FairnessTest,
    least: tuple[str, metrics.Measured],
    most: tuple[str, metrics.Measured],
    *,
    chance: float,
) -> str:
    """What is proven of two groups; empty when nothing is."""
    low, high = (least[1].events, least[1].trials), (most[1].events, most[1].trials)
    wide = test.max_gap is not None and limits.apart(high, low, chance=chance).high < -test.max_gap
    unlike = test.min_ratio is not None and limits.apart(high, low, factor=test.min_ratio, chance=chance).high < 0
    if not wide and not unlike:
        return ""
    bound = f"a gap of at most {test.max_gap:.4g}" if wide else f"a ratio of at least {test.min_ratio:.4g}"
    return (
        f"{test.metric} {least[1].value:.4g} with {least[0]} ({least[1].rows} rows), {most[1].value:.4g} with "
        f"{most[0]} ({most[1].rows} rows); {bound} is wanted"
    )


def _evaluation(test: declared.FairnessTest, name: str, one: metrics.Measured) -> report.Evaluation:
    sure = limits.of(one)
    return report.Evaluation(
        name=test.name, metric=test.metric, value=one.value, low=sure.low, high=sure.high, rows=one.rows, slice=name
    )
