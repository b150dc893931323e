"""Tests of data: the server's own checks, values within bounds, likeness to the reference, parity with training.

They fail only when that is proven: the share's 95 % limit lies beyond its bound. Rows are named by
number, never by value.
"""

from __future__ import annotations

import numpy as np

from seatrial_server.artifact import package
from seatrial_server.model import datatypes, declared, session
from seatrial_server.trial import answered, likeness, limits, naming, report, subject


def evaluate(test: declared.DataTest, on: subject.Subject) -> report.TestResult:
    """The one thing that the test asks for."""
    ways = {
        "accepted": test.accepted is not None,
        "feature": bool(test.feature) and test.within is not None,
        "against": test.against is not None,
        "parity": test.parity is not None,
    }
    if sum(ways.values()) != 1:
        raise naming.invalid(test.name, "say exactly one of accepted, feature with within, against, parity")
    return _WAYS[next(way for way, asked in ways.items() if asked)](test, on)


def _accepted(test: declared.DataTest, on: subject.Subject) -> report.TestResult:
    found = on.answers(test.dataset)
    wrong = naming.rows(found.rows.numbers[found.refused])
    message = f"refused, by feature and reason: {answered.words(found.why)}; {wrong}" if found.refused.any() else ""
    return _share(test.name, found.refused, test.accepted or 0.0, message)


def _within(test: declared.DataTest, on: subject.Subject) -> report.TestResult:
    rows = on.dataset(test.dataset)
    values = rows.column(test.feature, on.model.schema)
    if values is None:
        spec, column = on.columns.find(test.feature, source=f"tests.yaml: {test.name}")
        feed = rows.feeds(on.model.schema)[spec.name]
        values = feed.reshape(len(feed), -1)[:, column]
    if values.dtype.kind not in "fiub":
        raise naming.invalid(test.name, f"{test.feature!r} is no number")
    low, high = test.within or (None, None)
    numbers = values.astype(np.float64)
    outside = np.isnan(numbers)
    outside |= False if low is None else numbers < low
    outside |= False if high is None else numbers > high
    message = f"{test.feature} is missing or outside: {naming.rows(rows.numbers[outside])}" if outside.any() else ""
    return _share(test.name, outside, test.min_share, message)


def _like_reference(test: declared.DataTest, on: subject.Subject) -> report.TestResult:
    profile = on.made.profile if on.made else None
    if profile is None or not profile.features or not profile.feature_rows:
        raise naming.invalid(test.name, "there are no bins to compare in: the package needs a reference.npz")
    model, feeds = on.model.schema, on.dataset(test.dataset).feeds(on.model.schema)
    inputs = [feeds[spec.name] for spec in model.inputs]
    far = likeness.unlike(profile, datatypes.dtypes(model.inputs), inputs, distance=test.max_distance)
    features = ", ".join(f"{name} ({distance:.1%} of the rows lie elsewhere)" for name, distance in far[:5])
    more = " and more" if len(far) > 5 else ""
    return report.TestResult(
        name=test.name,
        outcome="Fail" if far else "Pass",
        metric="distance",
        observed=far[0][1] if far else 0.0,
        bound=test.max_distance,
        rows=len(inputs[0]),
        message=f"unlike the reference: {features}{more}" if far else "",
    )


def _parity(test: declared.DataTest, on: subject.Subject) -> report.TestResult:
    asked, rows = test.parity or declared.Parity(), on.dataset(test.dataset)
    names = [spec.name for spec in on.model.schema.outputs]
    expected = {
        place: array
        for place, name in enumerate(names)
        if (array := rows.arrays.get(package.EXPECTED + name)) is not None
    }
    if not expected:
        wanted = " or ".join(f"'{package.EXPECTED}{name}'" for name in names[:3])
        raise naming.invalid(test.name, f"dataset {test.dataset!r} has no array {wanted}")
    feeds, count = rows.feeds(on.model.schema), len(rows.numbers)
    other = np.zeros(count, bool)
    for start in range(0, count, session.ROWS_PER_RUN):
        place = slice(start, start + session.ROWS_PER_RUN)
        outputs = answered.run(on.converted, {key: one[place] for key, one in feeds.items()}, source=rows.source)
        for output, before in expected.items():
            other[place] |= _unequal(outputs[output], before[place], asked.max_delta, test.name, names[output])
    message = f"answered otherwise: {naming.rows(rows.numbers[other])}" if other.any() else ""
    return _share(test.name, other, 1 - asked.max_fail_rate, message)


def _unequal(given: session.Array, wanted: session.Array, delta: float, test: str, output: str) -> session.Array:
    if given.size != wanted.size:
        raise naming.invalid(test, f"the array for output {output!r} has another shape than the answers")
    left, right = given.reshape(len(given), -1), wanted.reshape(len(wanted), -1)
    if left.dtype.kind == "f" or right.dtype.kind == "f":
        try:
            pair = left.astype(np.float64), right.astype(np.float64)
        except (TypeError, ValueError):
            raise naming.invalid(test, f"the array for output {output!r} holds no numbers") from None
        return np.asarray(~(np.isclose(*pair, rtol=0, atol=delta, equal_nan=True)).all(axis=1))
    return np.asarray((left.astype(str) != right.astype(str)).any(axis=1))


def _share(name: str, wrong: session.Array, bound: float, message: str) -> report.TestResult:
    """Proven when the most that the share of good rows may be is below the bound."""
    good, count = int((~wrong).sum()), len(wrong)
    failed = limits.of_share(good, count).high < bound if good < count else False
    return report.TestResult(
        name=name, outcome="Fail" if failed else "Pass", observed=good / count, bound=bound, rows=count, message=message
    )


_WAYS = {"accepted": _accepted, "feature": _within, "against": _like_reference, "parity": _parity}
