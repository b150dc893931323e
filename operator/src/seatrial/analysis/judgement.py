"""The shape of a judgement: what was decided, why, and the numbers behind it. No computing here."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec


class Outcome(enum.StrEnum):
    """Only Fail rolls back; NoData and Error never promote."""

    FAIL = "Fail"
    PASS = "Pass"  # noqa: S105 (a verdict, not a password)
    INCONCLUSIVE = "Inconclusive"  # needs more traffic, or nobody can be blamed
    NO_DATA = "NoData"  # nothing to judge from
    ERROR = "Error"  # the source of metrics refuses or is down; produced by the caller


class Reason(enum.StrEnum):
    """Appears unchanged in conditions, events and metrics."""

    ERRORS_REGRESSED = "ErrorsRegressed"
    LATENCY_REGRESSED = "LatencyRegressed"
    REJECTIONS_REGRESSED = "RejectionsRegressed"
    DEGRADED_REGRESSED = "DegradedRegressed"
    SHED_REGRESSED = "ShedRegressed"
    ERRORS_ABOVE_MAXIMUM = "ErrorsAboveMaximum"
    LATENCY_ABOVE_MAXIMUM = "LatencyAboveMaximum"
    STABLE_ALSO_BREACHING = "StableAlsoBreaching"
    REGRESSION_SUSPECTED = "RegressionSuspected"
    INSUFFICIENT_TRAFFIC = "InsufficientTraffic"
    METRIC_OUT_OF_BOUNDS = "MetricOutOfBounds"
    QUALITY_REGRESSED = "QualityRegressed"
    OUTCOMES_REGRESSED = "OutcomesRegressed"
    FEEDBACK_UNEVEN = "FeedbackUneven"
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    NO_REGRESSION = "NoRegression"


DISAGREEMENT = "disagreement"


class Counts(msgspec.Struct, frozen=True):
    """Events among requests of one arm, since the first slot."""

    requests: int
    events: int

    @property
    def share(self) -> float:
        return self.events / self.requests if self.requests else 0.0


class MetricEvidence(msgspec.Struct, frozen=True):
    """One test and where it stands.

    `errors`, `latency`, `rejections`, `degraded`, `shed` compare with stable: `ratio` is candidate share / stable
    share, `margin` the ratio that is tolerated. `errorsMaximum`, `latencyMaximum` compare the candidate with what is
    allowed: `ratio` is share / maximum, `margin` the maximum itself, a share. After promotion `errorsRecord` and so on
    compare with the old version's record (then `stable`) in the same way. `disagreement` is about the rows of copies
    (`candidate`: rows compared, and those with another answer than stable's; `stable`: nothing): `margin` is the share
    that is allowed. Its Fail rolls nothing back.

    `bound` is what e**`log_evidence` must reach. `low` and `high` are 99 % limits of `ratio`; None where the data set
    none (`ratio`: None without stable events). For latency, counts, ratio and limits are those of `edge`, the histogram
    edge with the most evidence; `log_evidence` is of all edges together. `causes` says of the candidate's errors how
    many were no answers (`unreachable`, `late`). `proven`: of errors and latency (at the threshold), that the candidate
    is within the tolerance, in all but `falseRollbackRate` of cases; `log_proof` is the evidence for that so far.
    """

    name: str
    stable: Counts
    candidate: Counts
    ratio: float | None
    low: float | None
    high: float | None
    log_evidence: float
    bound: float
    margin: float
    dispersion: float
    outcome: Outcome
    edge: str | None = None
    causes: Mapping[str, int] = {}
    proven: bool = False
    log_proof: float = 0.0
    more: bool = False


class Judgement(msgspec.Struct, frozen=True):
    """The decision over a run of slots.

    Attributes:
        slot: index of the slot whose end the numbers describe; -1 without slots.
        seconds: length of the window up to there.
        breach_slot: index of the first slot at which evidence reached its bound; None unless outcome is Fail.
        message: for NoData and Error, what is missing; else empty (`explain` makes the sentence).
    """

    outcome: Outcome
    reason: Reason
    metrics: tuple[MetricEvidence, ...] = ()
    slot: int = -1
    seconds: float = 0.0
    breach_slot: int | None = None
    message: str = ""

    @property
    def proven(self) -> bool:
        """Proven no worse in errors and latency, not only not proven worse: what `NonInferiority` asks for.

        Bad answers on either side are what can be compared; while there are none, nothing can be proven.
        """
        return {"errors", "latency"} <= {metric.name for metric in self.metrics if metric.proven}

    def metric(self, name: str) -> MetricEvidence:
        """The evidence of that name.

        Raises:
            KeyError: this judgement has none.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(name)


def unseen(name: str, *, stable: Counts, candidate: Counts) -> MetricEvidence:
    """A metric that was asked for and could not be told."""
    return MetricEvidence(
        name=name,
        stable=stable,
        candidate=candidate,
        ratio=None,
        low=None,
        high=None,
        log_evidence=0.0,
        bound=1.0,
        margin=0.0,
        dispersion=1.0,
        outcome=Outcome.NO_DATA,
    )


def no_data(message: str) -> Judgement:
    """Nothing to judge from: metrics are missing or old."""
    return Judgement(outcome=Outcome.NO_DATA, reason=Reason.METRICS_UNAVAILABLE, message=message)


def error(message: str) -> Judgement:
    """The source of metrics refuses or is down."""
    return Judgement(outcome=Outcome.ERROR, reason=Reason.METRICS_UNAVAILABLE, message=message)
