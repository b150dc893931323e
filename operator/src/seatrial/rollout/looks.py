"""A look: what the samples of one window say at one moment. A value; `looking` makes it, rules read it."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import msgspec

from seatrial.analysis import cohorts, judgement, own_metrics
from seatrial.analysis.slots import Slot
from seatrial.api import status

Outcome = judgement.Outcome

PROVEN = ("errors", "latency")  # what NonInferiority asks for


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What the samples say now. `observed` counts only time in which somebody was answered."""

    outcome: Outcome
    reason: str
    message: str
    at: datetime
    source: str = "Prometheus"
    alone: bool = False  # judged by itself, not against stable
    soak: bool = False  # about stable after its promotion, not about a candidate
    misconfigured: bool = False  # Prometheus refuses the query: waiting won't help
    window: timedelta = timedelta(0)
    observed: timedelta = timedelta(0)
    stable_requests: int = 0
    candidate_requests: int = 0
    first_request_at: datetime | None = None
    breach_at: datetime | None = None
    rate: float = 0.0  # of false rollbacks that this window was judged with
    metrics: tuple[judgement.MetricEvidence, ...] = ()
    shift: str = ""  # in words, that more of the candidate's answers differ from stable's than is allowed
    share: float | None = None  # of the requests that the candidate was given, copies left out
    own: tuple[own_metrics.Result, ...] = ()
    slots: tuple[Slot, ...] = ()
    history: tuple[Slot, ...] = ()
    cohorts: tuple[cohorts.Cohort, ...] = ()

    @property
    def blind(self) -> bool:
        return self.outcome in (Outcome.NO_DATA, Outcome.ERROR)

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.PASS

    @property
    def failed(self) -> bool:
        return self.outcome is Outcome.FAIL

    @property
    def unreached(self) -> bool:
        """Proven worse by requests that never got to the candidate: it, or the place it runs in."""
        lost = sum(slot.candidate.unreachable for slot in self.slots)
        return self.failed and 2 * lost > sum(slot.candidate.errors for slot in self.slots)

    @property
    def suspicious(self) -> bool:
        """Seen, and not well: worse than too little traffic to tell."""
        return not self.passed and not self.blind and self.reason != status.Reason.INSUFFICIENT_TRAFFIC

    @property
    def unproven(self) -> str:
        """What is missing to the proof that the candidate is within the tolerance, in words; nothing when it is there,
        and where it has all traffic: nobody is left to compare with, and the steps before have proven it.
        """
        if self.alone:
            return ""
        found = {one.name: one for one in self.metrics}
        return ", ".join(self._lacks(name, found.get(name)) for name in PROVEN if not _is_proven(found.get(name)))

    def _lacks(self, name: str, metric: judgement.MetricEvidence | None) -> str:
        if metric is None:
            return f"{name}: not compared yet"
        have, need = math.exp(min(metric.log_proof, 700.0)), 1 / self.rate if self.rate else math.inf
        return f"{name}: evidence {have:.3g} of {need:.4g}"

    @property
    def healthy_percent(self) -> int:
        """Answers of the version judged that were in order, by the worst of what was proven against it."""
        failed = (one for one in self.metrics if one.outcome is Outcome.FAIL)
        shares = [one.candidate.share for one in failed if one.name != judgement.DISAGREEMENT and not one.more]
        return math.ceil(100 * (1 - max(shares, default=0.0)))


def _is_proven(metric: judgement.MetricEvidence | None) -> bool:
    return metric is not None and metric.proven
