"""What a look comes to, as frozen data: outcome, reason, and the findings behind them."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec
from msgspec import Meta

from seatrial.drift.columns import Count, Kind
from seatrial.drift.tests import Question

MOST_HOURS = 24 * 31


class Outcome(enum.StrEnum):
    CLEAN = "Clean"
    SUSPECTED = "Suspected"
    DRIFTED = "Drifted"
    UNKNOWN = "Unknown"


class Reason(enum.StrEnum):
    """Of a condition; bad data before all else, as it must not be learned from."""

    INVALID_DATA = "InvalidData"
    FEATURE_DRIFT = "FeatureDrift"
    PREDICTION_DRIFT = "PredictionDrift"
    ATTRIBUTION_DRIFT = "AttributionDrift"
    DRIFT_SUSPECTED = "DriftSuspected"
    NO_DRIFT = "NoDrift"
    METRICS_UNAVAILABLE = "MetricsUnavailable"


REASONS = {
    Kind.FEATURE: Reason.FEATURE_DRIFT,
    Kind.PREDICTION: Reason.PREDICTION_DRIFT,
    Kind.ATTRIBUTION: Reason.ATTRIBUTION_DRIFT,
}


class Finding(msgspec.Struct, frozen=True, rename="camel"):
    """One test of one column over one window. Kept with the memory, where anybody may edit it.

    `share` of `rows` lay in the set of bins that `where` names; at most `tolerated` should. The true share is between
    `low` and `high`, with 99 % at all times at once. `window` in hours; `log_evidence` natural.
    """

    column: str
    kind: Kind
    test: Question
    where: str
    share: float
    low: float
    high: float
    reference: float
    tolerated: float
    rows: Count
    window: Annotated[int, Meta(ge=1, le=MOST_HOURS)]
    log_evidence: float
    bound: Annotated[float, Meta(gt=0)]
    dispersion: float
    outcome: Outcome
    note: str = ""
    since: int | None = None
    """Hour of the alarm, counted from the epoch."""

    @property
    def key(self) -> tuple[str, Question]:
        """Which test of which column."""
        return self.column, self.test


class Judgement(msgspec.Struct, frozen=True, rename="camel"):
    """One look at everything: the strongest findings first, at most five. `at` is the hour, counted from the epoch."""

    at: int
    outcome: Outcome
    reason: Reason
    columns: tuple[Finding, ...]
    message: str
