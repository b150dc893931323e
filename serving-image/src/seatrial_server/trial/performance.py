"""Tests of performance: a metric against a bound, in its worst group, or against the stable version row by row.

A metric of all rows is compared as it is. Groups fail only when it is proven: the worst of several is worse by chance.
Against the stable version it is the other way round: passing needs proof, and without it more rows are needed.
"""

from __future__ import annotations

import math

import numpy as np

from seatrial_server.model import declared, session
from seatrial_server.trial import groups, limits, metrics, naming, report, subject

Results = tuple[report.TestResult, report.Evaluation | None]


def evaluate(test: declared.PerformanceTest, on: subject.Subject) -> Results:
    """The result, and the figure for the report."""
    _check(test)
    if test.against is not None and on.stable.skip:
        skipped = report.TestResult(
            name=test.name,
            outcome="Skipped",
            metric=test.metric,
            observed=0,
            bound=0,
            rows=0,
            message=on.stable.skip,
            against=test.against,
        )
        return skipped, None
    try:
        if test.against is not None:
            return _paired(test, on)
        return _worst(test, on) if test.by else _whole(test, on)
    except metrics.Unmeasurable as error:
        raise naming.invalid(test.name, str(error)) from error


def _check(test: declared.PerformanceTest) -> None:
    bounds = (test.min, test.max, test.max_drop, test.min_gain)
    if sum(one is not None for one in bounds) != 1:
        raise naming.invalid(test.name, "give exactly one of min, max and, with against: Stable, maxDrop, minGain")
    if (test.against is not None) is not (test.max_drop is not None or test.min_gain is not None):
        raise naming.invalid(test.name, "maxDrop and minGain go with against: Stable, min and max without")
    if test.against is not None and test.by:
        raise naming.invalid(test.name, "by can't be told with against: Stable")
    less = test.metric in metrics.LESS_IS_BETTER
    if (test.min is not None and less) or (test.max is not None and not less and test.metric != "selectionRate"):
        raise naming.invalid(
            test.name, f"of {test.metric} {'less' if less else 'more'} is better: give the other bound"
        )


def _whole(test: declared.PerformanceTest, on: subject.Subject) -> Results:
    outcomes, _ = on.outcomes(test.dataset)
    measured = metrics.measure(test.metric, outcomes, label=test.label)
    bound, failed = _beyond(test, measured.value, measured.value)
    wanted = f"at {'least' if test.min is not None else 'most'} {bound:.4g}"
    message = f"{test.metric} {measured.value:.4g} of {measured.rows} rows, {wanted} wanted" if failed else ""
    message = "; ".join(filter(None, (message, _left_out(test, on) if failed else "")))
    return _result(test, measured, bound=bound, failed=failed, message=message), evaluation(test.name, measured)


def _left_out(test: declared.PerformanceTest, on: subject.Subject) -> str:
    refused = on.answers(test.dataset).refused
    return f"{int(refused.sum())} rows are refused by model.yaml, which is no right answer" if refused.any() else ""


def _worst(test: declared.PerformanceTest, on: subject.Subject) -> Results:
    found = groups.measured(test, on)
    if not found:
        raise naming.invalid(test.name, f"no group of {test.by!r} has {test.min_rows} rows that count")
    less = test.metric in metrics.LESS_IS_BETTER
    name, measured = (max if less else min)(found, key=lambda pair: pair[1].value)
    sure = limits.of(measured)
    bound, failed = _beyond(test, sure.low, sure.high)
    message = (
        f"{test.metric} {measured.value:.4g} of {measured.rows} rows with {name}, the worst of {len(found)} groups; "
        f"95 % limits {sure.low:.4g} and {sure.high:.4g}, {bound:.4g} wanted"
        if failed
        else ""
    )
    return _result(test, measured, bound=bound, failed=failed, message=message), evaluation(
        test.name, measured, part=name
    )


def _beyond(test: declared.PerformanceTest, low: float, high: float) -> tuple[float, bool]:
    """The bound, and whether all that the figure may be is beyond it. NaN is."""
    if test.min is not None:
        return test.min, not high >= test.min
    bound = math.inf if test.max is None else test.max
    return bound, not low <= bound


def _paired(test: declared.PerformanceTest, on: subject.Subject) -> Results:
    here, places = on.outcomes(test.dataset)
    there, others = on.outcomes(test.dataset, of_stable=True)
    shared = np.intersect1d(places, others)
    candidate = metrics.measure(test.metric, _at(here, places, shared), label=test.label)
    stable = metrics.measure(test.metric, _at(there, others, shared), label=test.label)
    gain, sure = limits.of_gain(candidate, stable)
    words = (
        f"{test.metric} {candidate.value:.4g}, of the stable version {on.stable.version} {stable.value:.4g}, on the "
        f"same {len(shared)} rows: gain {gain:.4g}, 95 % limits {sure.low:.4g} and {sure.high:.4g}"
    )
    if test.min_gain is not None:
        failed, bound = not gain >= test.min_gain, test.min_gain
        message = f"{words}; at least {bound:.4g} wanted" if failed else ""
    else:
        bound = -(test.max_drop or 0.0)
        failed = not sure.low > bound
        proven = sure.high < bound
        few = "" if proven else "TooFewRows: neither worse nor as good is proven, more rows are needed; "
        message = f"{few}{words}; a drop of at most {-bound:.4g} is wanted" if failed else ""
    result = report.TestResult(
        name=test.name,
        outcome="Fail" if failed else "Pass",
        metric=f"gain of {test.metric}",
        observed=gain,
        bound=bound,
        rows=len(shared),
        message=message,
        against="Stable",
    )
    return result, evaluation(test.name, candidate, baseline=stable.value)


def _at(outcomes: metrics.Outcomes, places: session.Array, wanted: session.Array) -> metrics.Outcomes:
    return outcomes.of(np.searchsorted(places, wanted))


def _result(
    test: declared.PerformanceTest, measured: metrics.Measured, *, bound: float, failed: bool, message: str
) -> report.TestResult:
    return report.TestResult(
        name=test.name,
        outcome="Fail" if failed else "Pass",
        metric=test.metric,
        observed=measured.value,
        bound=bound,
        rows=measured.rows,
        message=message,
    )


def evaluation(
    name: str, measured: metrics.Measured, *, part: str = "", baseline: float | None = None
) -> report.Evaluation:
    """The figure with its limits."""
    sure = limits.of(measured)
    return report.Evaluation(
        name=name,
        metric=measured.metric,
        value=measured.value,
        low=sure.low,
        high=sure.high,
        rows=measured.rows,
        slice=part,
        baseline=baseline,
    )


def regression(test: declared.RegressionTest, on: subject.Subject) -> report.TestResult:
    """Rows that were once answered wrongly must be right now."""
    outcomes, places = on.outcomes(test.dataset)
    if outcomes.right is None:
        wrong = np.asarray(outcomes.truth != outcomes.guess)
    elif test.tolerance is None:
        raise naming.invalid(test.name, "the model answers numbers: say with tolerance how far they may be off")
    else:
        assert outcomes.given is not None  # noqa: S101  # numbers come in pairs
        wrong = ~(np.abs(outcomes.given - outcomes.right) <= test.tolerance).all(axis=1)
    share, numbers = float(1 - wrong.mean()), on.dataset(test.dataset).numbers[places]
    return report.TestResult(
        name=test.name,
        outcome="Pass" if share >= test.min_share else "Fail",
        observed=share,
        bound=test.min_share,
        rows=len(wrong),
        message=f"wrong again: {naming.rows(numbers[wrong])}" if wrong.any() else "",
    )
