"""One look at the evidence: from samples to an outcome, for the canary's step or for the soak after a promotion.

The window starts at a fact of status (when the weight was asked for, when the version became stable), so a restart of
the operator changes nothing. Each step is judged from its own start, so that a good beginning doesn't hide a bad end;
the allowed rate of false rollbacks is divided by the number of steps for that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from seatrial.analysis import counters, explain, judgement, policy, soak, verdict
from seatrial.analysis.slots import Slot
from seatrial.api import stage as stages
from seatrial.api import status
from seatrial.api.values import Duration

from . import bounds, facts, report

Outcome = judgement.Outcome

HISTORY = timedelta(hours=1)


class Look(facts.Fact, frozen=True, kw_only=True):
    """What the samples say now. `observed` counts only time in which somebody was answered."""

    outcome: Outcome
    reason: str
    message: str
    at: datetime
    alone: bool = False  # judged by itself, not against stable
    soak: bool = False  # about stable after its promotion, not about a candidate
    misconfigured: bool = False  # Prometheus refuses the query: waiting won't help
    window: timedelta = timedelta(0)
    observed: timedelta = timedelta(0)
    stable_requests: int = 0
    candidate_requests: int = 0
    first_request_at: datetime | None = None
    breach_at: datetime | None = None
    metrics: tuple[judgement.MetricEvidence, ...] = ()
    slots: tuple[Slot, ...] = ()
    history: tuple[Slot, ...] = ()

    @property
    def blind(self) -> bool:
        return self.outcome in (Outcome.NO_DATA, Outcome.ERROR)

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.PASS

    @property
    def suspicious(self) -> bool:
        """Seen, and not well: worse than too little traffic to tell."""
        return not self.passed and not self.blind and self.reason != status.Reason.INSUFFICIENT_TRAFFIC

    @property
    def healthy_percent(self) -> int:
        """Answers of the version judged that were in order, by the worst of what was proven against it."""
        shares = [one.candidate.share for one in self.metrics if one.outcome is Outcome.FAIL]
        return math.ceil(100 * (1 - max(shares, default=0.0)))


class Window(facts.Fact, frozen=True, kw_only=True):
    """What to ask Prometheus for: which revisions, from when on. `alone`: nothing runs beside the candidate, whether
    it has all the traffic already or is stable in its soak.
    """

    stable: str
    candidate: str
    since: datetime
    alone: bool = False
    soak: bool = False


def window(snapshot: facts.Snapshot, now: datetime) -> Window | None:
    """The window that needs judging now; None while no traffic is being judged.

    A soak goes on until the next candidate's pods are Ready and the warm version is given up for them.
    """
    now_status = snapshot.status
    stable, candidate, previous = now_status.stable, now_status.candidate, now_status.previous
    if stable is None:
        return None
    soaking = previous is not None and now < stable.since + snapshot.spec.rollout.soak
    if candidate is not None and _wants_sight(candidate) and (candidate.step or not soaking):
        since = candidate.weight_since or now - snapshot.spec.analysis.interval
        return Window(stable=stable.revision, candidate=candidate.revision, since=since, alone=candidate.weight == 100)
    if previous is not None and soaking:
        return Window(stable=previous.revision, candidate=stable.revision, since=stable.since, alone=True, soak=True)
    return None


def _wants_sight(candidate: status.Candidate) -> bool:
    """It has traffic, or needs only metrics to get some."""
    return isinstance(stages.of(candidate), stages.Starting | stages.Step | stages.Promoting)


def look(snapshot: facts.Snapshot, now: datetime) -> Look | None:
    """Judges the window that `window` names from the snapshot's samples; None when there is nothing to judge."""
    asked, sight = window(snapshot, now), snapshot.sight
    if asked is None or sight is None:
        return None
    unseen = status.Reason.METRICS_UNAVAILABLE
    if sight.error:
        return Look(
            outcome=Outcome.ERROR,
            reason=unseen,
            message=sight.error,
            at=now,
            alone=asked.alone,
            soak=asked.soak,
            misconfigured=sight.misconfigured,
        )
    reading = _read(snapshot, asked, sight.series, start=asked.since, end=now)
    limits = policy.of(snapshot.spec.analysis, steps=len(snapshot.spec.rollout.steps))
    history = _read(snapshot, asked, sight.history, start=asked.since - HISTORY, end=asked.since).slots
    if asked.alone:
        judged = soak.judge_alone(reading.slots, limits, reference=history, blind=reading.blind, unseen=reading.unseen)
    else:
        judged = verdict.judge(reading.slots, limits, history=history, blind=reading.blind, unseen=reading.unseen)
    summary = _summary(judged, reading.slots, asked, now, blind=bool(reading.blind))
    return msgspec.structs.replace(summary, slots=reading.slots, history=tuple(history))


def _read(
    snapshot: facts.Snapshot,
    asked: Window,
    series: Sequence[counters.Series],
    *,
    start: datetime,
    end: datetime,
) -> counters.Reading:
    arms = {asked.stable: counters.Arm.STABLE, asked.candidate: counters.Arm.CANDIDATE}
    pods = [
        counters.Pod(
            arm=arms[pod.revision],
            name=pod.name,
            ready=pod.ready and not pod.leaving,
            started=pod.started_at.timestamp() if pod.started_at else None,
        )
        for pod in snapshot.pods
        if pod.revision in arms
    ]
    return counters.read(
        series,
        pods,
        start=start.timestamp(),
        end=end.timestamp(),
        interval=snapshot.spec.analysis.interval.total_seconds(),
        scrape_interval=snapshot.operator.scrape_interval.total_seconds(),
        arms=(counters.Arm.CANDIDATE,) if asked.alone else tuple(counters.Arm),
    )


def _summary(judged: judgement.Judgement, seen: Sequence[Slot], asked: Window, now: datetime, *, blind: bool) -> Look:
    first = next((place for place, slot in enumerate(seen) if slot.candidate.requests), None)
    answered = [slot for slot in seen[first:] if slot.candidate.requests or slot.stable.requests] if seen else []

    def moment(place: int) -> datetime:
        return datetime.fromtimestamp(asked.since.timestamp() + sum(slot.seconds for slot in seen[:place]), UTC)

    failed = judged.breach_slot is not None
    nothing_yet = not seen and not blind
    return Look(
        outcome=Outcome.INCONCLUSIVE if nothing_yet else judged.outcome,
        reason=status.Reason.INSUFFICIENT_TRAFFIC if nothing_yet else judged.reason,
        message=explain.sentence(judged),
        at=now,
        alone=asked.alone,
        soak=asked.soak,
        window=timedelta(seconds=judged.seconds),
        observed=timedelta(seconds=sum(slot.seconds for slot in answered)) if first is not None else timedelta(0),
        stable_requests=sum(slot.stable.requests for slot in seen),
        candidate_requests=sum(slot.candidate.requests for slot in seen),
        first_request_at=None if first is None else moment(first),
        breach_at=moment(judged.breach_slot + 1) if failed and judged.breach_slot is not None else None,
        metrics=judged.metrics,
    )


def analysis_status(seen: Look) -> status.AnalysisStatus:
    """What the user reads of a look."""
    return status.AnalysisStatus(
        outcome=seen.outcome,
        at=seen.at,
        window=str(Duration.of(seen.window)),
        message=bounds.cut(seen.message),
        metrics=tuple(_metric(metric) for metric in seen.metrics),
    )


def _metric(metric: judgement.MetricEvidence) -> status.MetricStatus:
    return status.MetricStatus(
        name=metric.name,
        stable=f"{metric.stable.events}/{metric.stable.requests}",
        candidate=f"{metric.candidate.events}/{metric.candidate.requests}",
        ratio=_figure(metric.ratio),
        low=_figure(metric.low),
        high=_figure(metric.high),
        evidence=_figure(math.exp(min(metric.log_evidence, 700.0))),
        bound=f"{metric.bound:.0f}",
        outcome=metric.outcome,
    )


def trial_status(revision: str, seen: report.Report) -> status.TrialStatus:
    """What the user reads of a trial's report."""
    quantized = seen.quantization
    return status.TrialStatus(
        revision=revision,
        outcome=seen.outcome,
        message=bounds.cut(seen.message),
        quantization=None
        if quantized is None
        else status.QuantizationStatus(
            mode=bounds.cut(quantized.mode, bounds.SHORT),
            outcome=bounds.cut(quantized.outcome, bounds.SHORT),
            reason=bounds.cut(quantized.reason),
            disagreement=_percent(quantized.disagreement),
            bound=_percent(quantized.bound),
            rows=quantized.rows,
            speedup1=_figure(quantized.speedup1),
            speedup32=_figure(quantized.speedup32),
        ),
        tests=tuple(
            status.TestStatus(
                name=bounds.cut(test.name, bounds.SHORT),
                outcome=bounds.cut(test.outcome, bounds.SHORT),
                observed=_figure(test.observed),
                bound=_figure(test.bound),
                rows=test.rows,
            )
            for test in seen.tests[:50]
        ),
        report_sha256=seen.digest,
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value * 100:.3g}%"
