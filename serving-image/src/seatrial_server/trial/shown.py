"""What the model shows on its own holdout rows, whether or not a test asks: for the report and the model's card.

A help, no test: a file of rows that can't be used is the tests' matter where they name it, and costs nothing here.
"""

from __future__ import annotations

import logging

import numpy as np

from seatrial_server.host import errors, logs
from seatrial_server.model import declared
from seatrial_server.trial import metrics, performance, report, subject

log = logging.getLogger(__name__)
HOLDOUT = "holdout"
_METRICS: tuple[declared.Metric, ...] = (
    "accuracy",
    "balancedAccuracy",
    "auc",
    "logLoss",
    "calibrationError",
    "mae",
    "rmse",
)
_BINS = 10


def of(on: subject.Subject) -> tuple[list[report.Evaluation], report.Calibration | None]:
    """Every metric that fits the model, and how often it is right by its highest score."""
    if not (on.folder / f"{HOLDOUT}.npz").is_file():
        return [], None
    try:
        outcomes, _ = on.outcomes(HOLDOUT)
    except errors.Rejected as error:
        logs.warning(log, "nothing is measured on holdout.npz", cause=str(error))
        return [], None
    found = []
    for metric in _METRICS:
        try:
            measured = metrics.measure(metric, outcomes)
        except metrics.Unmeasurable:
            continue
        found.append(performance.evaluation(HOLDOUT, measured))
    return found, _calibration(on, outcomes)


def _calibration(on: subject.Subject, outcomes: metrics.Outcomes) -> report.Calibration | None:
    if outcomes.scores is None or on.made is None:
        return None
    known = np.isfinite(outcomes.scores).all(axis=1)
    scores = outcomes.scores[known]
    output = next((one.name for one in on.made.profile.outputs if one.edges), "")  # only scores have edges of their own
    if not output or not len(scores) or scores.min() < 0 or scores.max() > 1:
        return None
    right = np.asarray(outcomes.truth == outcomes.guess)[known]
    bins = np.minimum((scores.max(axis=1) * _BINS).astype(np.int64), _BINS - 1)
    rows = np.bincount(bins, minlength=_BINS)
    return report.Calibration(
        output=output,
        rows=tuple(rows.tolist()),
        right=tuple(np.bincount(bins, weights=right, minlength=_BINS).astype(int).tolist()),
    )
