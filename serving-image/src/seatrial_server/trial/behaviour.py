"""Invariance and directional tests: change rows in a declared way, compare the answers. Runs in the sandbox.

Failing examples are named by row number only; values never leave the process.
"""

from __future__ import annotations

import numpy as np

from seatrial_server.host import errors
from seatrial_server.model import answers, declared, session
from seatrial_server.trial import perturbing, report
from seatrial_server.trial.subject import Subject as Subject

_NAMED_ROWS = 5


def invariance(test: declared.InvarianceTest, subject: Subject) -> report.TestResult:
    """The share of changed rows whose answer stayed, against its bound."""
    source = f"tests.yaml: {test.name}"
    feeds = subject.rows(test, source=source)
    before = subject.run(feeds, source=source, batch=1 if test.perturb.rebatch else session.ROWS_PER_RUN)
    changed = [
        subject.run(variant, source=source)
        for variant in perturbing.variants(feeds, test.perturb, subject.columns, seed=test.seed, source=source)
    ]
    changed += [subject.run(feeds, source=source, batch=size) for size in test.perturb.rebatch or ()]
    failed = np.concatenate([_moved(before, after, subject, max_delta=test.max_delta) for after in changed])
    return _result(test, failed, rows=len(next(iter(feeds.values()))), what="changed their answer")


def directional(test: declared.DirectionalTest, subject: Subject) -> report.TestResult:
    """The share of changed rows whose output went the right way, against its bound."""
    source = f"tests.yaml: {test.name}"
    if test.perturb.rebatch:
        raise _invalid(source, "rebatch has no direction")
    feeds = subject.rows(test, source=source)
    before = _values(test, subject, subject.run(feeds, source=source), source=source)
    sign = 1 if test.direction == "nonDecreasing" else -1
    failed = []
    for variant in perturbing.variants(feeds, test.perturb, subject.columns, seed=test.seed, source=source):
        after = _values(test, subject, subject.run(variant, source=source), source=source)
        failed.append(~(sign * (after - before) >= -test.tolerance))  # so that NaN fails
    return _result(test, np.concatenate(failed), rows=len(before), what="went the wrong way")


def _moved(
    before: list[session.Array], after: list[session.Array], subject: Subject, *, max_delta: float | None
) -> session.Array:
    card, model = subject.card, subject.model.schema
    moved = answers.differing(answers.read(card, model, before), answers.read(card, model, after))
    if max_delta is None:
        return moved
    for spec, old, new in zip(model.outputs, before, after, strict=True):
        if perturbing.floating(spec):
            delta = np.abs(old.astype(np.float64) - new.astype(np.float64)).reshape(len(old), -1)
            moved = moved | ~(delta <= max_delta).all(axis=1)
    return np.asarray(moved)


def _values(
    test: declared.DirectionalTest, subject: Subject, outputs: list[session.Array], *, source: str
) -> session.Array:
    """The output that has a direction, one number per row."""
    card, specs = subject.card, subject.model.schema.outputs
    numeric = [spec.name for spec in specs if perturbing.floating(spec)]
    name = test.output or card.outputs.probabilities or (numeric[0] if numeric else "")
    if name not in numeric:
        raise _invalid(source, f"output must be one of the floating outputs {numeric}, not {name!r}")
    flat = outputs[[spec.name for spec in specs].index(name)].reshape(len(outputs[0]), -1)
    column = card.labels.index(test.column) if test.column in card.labels else test.column
    if not isinstance(column, int) or not 0 <= column < flat.shape[1]:
        raise _invalid(source, f"column {test.column!r} is none of the {flat.shape[1]} of output {name!r}")
    return flat[:, column].astype(np.float64)


def _result(
    test: declared.InvarianceTest | declared.DirectionalTest, failed: session.Array, *, rows: int, what: str
) -> report.TestResult:
    places, count = np.flatnonzero(failed), len(failed)
    named = list(dict.fromkeys((places % rows).tolist()))
    more = " and more" if len(named) > _NAMED_ROWS else ""
    share = len(places) / max(1, count)
    return report.TestResult(
        name=test.name,
        outcome="Fail" if share > test.max_fail_rate else "Pass",
        observed=(count - len(places)) / max(1, count),
        bound=1 - test.max_fail_rate,
        rows=count,
        message=f"{len(places)} of {count} changed rows {what}: rows {', '.join(map(str, named[:_NAMED_ROWS]))}{more}"
        if len(places)
        else "",
    )


def _invalid(source: str, message: str) -> errors.Rejected:
    return errors.Rejected("InvalidModel", f"{source}: {message}")
