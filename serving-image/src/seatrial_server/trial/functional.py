"""Minimum functionality tests: declared rows must get declared labels. Runs in the sandbox.

Failing examples are named by row number only; values never leave the process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from seatrial_server import errors
from seatrial_server.model import answers, manifest, package, schema, session
from seatrial_server.trial import report

_NAMED_ROWS = 5


def run(*, package_folder: str, prepared_folder: str) -> dict[str, Any]:
    """Every functional test of the package on the prepared model."""
    prepared = Path(prepared_folder)
    model = session.load(prepared / manifest.MODEL)
    card = manifest.read(prepared).card
    declared = package.tests(Path(package_folder)).functional
    return {"tests": [msgspec.to_builtins(evaluate(test, model, card)) for test in declared]}


def evaluate(test: package.FunctionalTest, model: session.Session, card: schema.Card) -> report.TestResult:
    """One test: the share of rows with the expected label against its bound."""
    source = f"tests.yaml: {test.name}"
    feeds = package.as_feeds(test.rows, model.schema, source=source)
    rows, labels = len(next(iter(feeds.values()))), test.expect.labels
    if len(labels) != rows:
        raise errors.Rejected("InvalidModel", f"{source}: expect.labels has {len(labels)} entries for {rows} rows")
    try:
        given = answers.read(card, model.schema, model.run(feeds))
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types
        raise errors.Rejected("TestFailed", f"{source}: the model fails on these rows: {str(error)[:300]}") from error
    if not given.labels:
        raise errors.Rejected("InvalidModel", f"{source}: expect.labels needs a classifier, this model answers numbers")
    wrong = [row for row, (got, want) in enumerate(zip(given.values.tolist(), labels, strict=True)) if got != want]
    accuracy = 1 - len(wrong) / rows
    passed = accuracy >= test.expect.min_accuracy
    return report.TestResult(
        name=test.name,
        outcome="Pass" if passed else "Fail",
        observed=accuracy,
        bound=test.expect.min_accuracy,
        rows=rows,
        message=""
        if passed
        else f"wrong label in rows {', '.join(map(str, wrong[:_NAMED_ROWS]))}"
        + (" and more" if len(wrong) > _NAMED_ROWS else ""),
    )
