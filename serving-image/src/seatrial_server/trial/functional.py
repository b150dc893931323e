"""Minimum functionality tests: declared rows must get declared labels, and so must every slice of them.

Runs in the sandbox. Failing examples are named by row number only; values never leave the process.
"""

from __future__ import annotations

import numpy as np

from seatrial_server.artifact import package
from seatrial_server.host import errors
from seatrial_server.model import answers, declared, schema, session
from seatrial_server.trial import perturbing, report

_NAMED_ROWS = 5


def evaluate(test: declared.FunctionalTest, model: session.Session, card: schema.Card) -> list[report.TestResult]:
    """The share of rows with the expected label against its bound; of the worst slice as well when asked for."""
    source = f"tests.yaml: {test.name}"
    feeds = package.as_feeds(test.rows, model.schema, source=source)
    rows, labels = len(next(iter(feeds.values()))), test.expect.labels
    if len(labels) != rows:
        raise _invalid(f"{source}: expect.labels has {len(labels)} entries for {rows} rows")
    try:
        given = answers.read(card, model.schema, model.rows(feeds))
    except session.RowsFailed as error:
        raise errors.Rejected("TestFailed", f"{source}: the model fails on {error}") from error
    if not given.labels:
        raise _invalid(f"{source}: expect.labels needs a classifier, this model answers numbers")
    wrong = np.array([got != want for got, want in zip(given.values.tolist(), labels, strict=True)])
    results = [_result(test.name, wrong, test.expect.min_accuracy, numbers=np.arange(rows))]
    if test.slices is not None:
        results.append(_worst(test, test.slices, feeds, wrong, card, model.schema))
    return results


def _worst(
    test: declared.FunctionalTest,
    slices: declared.Slices,
    feeds: dict[str, session.Array],
    wrong: session.Array,
    card: schema.Card,
    model: schema.Schema,
) -> report.TestResult:
    """The slice with the lowest accuracy. Only declared categories make slices: their names are no secret."""
    source = f"tests.yaml: {test.name}: slices"
    feature = next((feature for feature in card.features if feature.name == slices.by), None)
    if feature is None or not feature.categories:
        raise _invalid(f"{source}: {slices.by!r} must be a feature with categories in model.yaml")
    spec, column = perturbing.Columns(card, model).find(slices.by, source=source)
    values = feeds[spec.name].reshape(len(wrong), -1)[:, column]
    parts = [np.flatnonzero(values == category) for category in feature.categories]
    named = zip(feature.categories, parts, strict=True)
    large = [(category, part) for category, part in named if len(part) >= slices.min_rows]
    if not large:
        raise _invalid(f"{source}: no category of {slices.by!r} has {slices.min_rows} rows")
    category, part = max(large, key=lambda one: wrong[one[1]].mean())
    name = f"{test.name}: {slices.by} = {category}, the worst of {len(large)}"
    return _result(name, wrong[part], slices.min_accuracy, numbers=part)


def _result(name: str, wrong: session.Array, bound: float, *, numbers: session.Array) -> report.TestResult:
    accuracy = (len(wrong) - int(wrong.sum())) / len(wrong)
    passed, bad = accuracy >= bound, numbers[wrong].tolist()
    rows = ", ".join(map(str, bad[:_NAMED_ROWS])) + (" and more" if len(bad) > _NAMED_ROWS else "")
    return report.TestResult(
        name=name,
        outcome="Pass" if passed else "Fail",
        observed=accuracy,
        bound=bound,
        rows=len(wrong),
        message="" if passed else f"wrong label in rows {rows}",
    )


def _invalid(message: str) -> errors.Rejected:
    return errors.Rejected("InvalidModel", message)
