"""One look at the evidence: from samples to an outcome, for the canary's step or for the soak after a promotion.

The window starts at a fact of status (when the weight was asked for, when the version became stable), so a restart of
the operator changes nothing. Each step is judged from its own start, so that a good beginning doesn't hide a bad end;
the allowed rate of false rollbacks is divided by the number of steps for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from seatrial.analysis import counters, explain, judgement, own_metrics, policy, share, soak, verdict
from seatrial.analysis.slots import Slot
from seatrial.api import spec, status
from seatrial.api import stage as stages

from . import facts, looks

HISTORY = timedelta(hours=1)
LONGEST_QUESTION = timedelta(seconds=10)
NOBODY = "none"  # has a vowel, so no revision is called that


class Window(facts.Fact, frozen=True, kw_only=True):
    """What to ask the sources for: which revisions, from when on. `alone`: nothing runs beside the candidate, whether
    it has all the traffic already or is stable in its soak. `sliding`: no traffic yet, nothing to count; only whether
    samples arrive is asked, and the window moves on with the clock. `relayed`: stable's pods pass requests on to the
    candidate and count what became of them; `sticky`: by a header's value, not each request by itself; `shadow`: it
    gets copies of what stable has answered; `cover`: stable answers what the candidate fails at. `weighed`: when the
    weight has changed since the first request; labels come late, so those of all steps count.
    """

    stable: str
    candidate: str
    since: datetime
    alone: bool = False
    soak: bool = False
    sliding: bool = False
    relayed: bool = False
    sticky: bool = False
    shadow: bool = False
    cover: bool = False
    weighed: tuple[datetime, ...] = ()


class JudgedPod(facts.Fact, frozen=True, kw_only=True):
    """A pod whose counters are believed, because the API server shows it as one of ours."""

    uid: str
    ip: str
    name: str
    arm: counters.Arm
    ready: bool
    started_at: datetime | None


class Question(facts.Fact, frozen=True, kw_only=True):
    """Everything that a look depends on beside the samples."""

    window: Window
    owner: facts.Owner
    analysis: spec.Analysis
    steps: int
    pods: tuple[JudgedPod, ...]
    scrape_interval: timedelta
    attempt: int = 1  # how often this step has been begun
    feedback: spec.Feedback | None = None

    @property
    def subject(self) -> tuple[object, ...]:
        """What is judged. Evidence is kept as long as it stays the same; pods come and go meanwhile."""
        window = self.window
        since = None if window.sliding else window.since
        which = (window.stable, window.candidate, since, window.alone, window.soak)
        how = (window.relayed, window.sticky, window.cover)
        return self.owner.uid, *which, *how, self.attempt, self.analysis.interval

    @property
    def relayed(self) -> bool:
        """What the candidate is given is counted by stable's pods."""
        return self.window.relayed and not self.window.alone and not self.window.sliding

    @property
    def relay(self) -> counters.Relay | None:
        window = self.window
        if not self.relayed:
            return None
        return counters.Relay(by_request=not window.sticky, copies=window.shadow, paired=window.sticky and window.cover)

    def given(self, pod: JudgedPod | None) -> str:
        """Whom the pod gives requests to and counts for; nobody, unless it is one of stable's that relays."""
        relays = self.relayed and pod is not None and pod.arm is counters.Arm.STABLE
        return self.window.candidate if relays else ""

    @property
    def limits(self) -> policy.Policy:
        return policy.of(self.analysis, steps=self.steps, window=self.attempt)

    @property
    def arms(self) -> tuple[counters.Arm, ...]:
        """Those that must be seen."""
        return (counters.Arm.CANDIDATE,) if self.window.alone else tuple(counters.Arm)

    @property
    def counted_pods(self) -> list[counters.Pod]:
        return [
            counters.Pod(
                arm=pod.arm,
                name=pod.name,
                ready=pod.ready,
                started=pod.started_at.timestamp() if pod.started_at else None,
            )
            for pod in self.pods
        ]


class Counted(facts.Fact, frozen=True, kw_only=True):
    """The window's slots, those of the hour before it, and why they, or single metrics, may not be judged now."""

    slots: tuple[Slot, ...]
    history: tuple[Slot, ...] = ()
    blind: str = ""
    unseen: Mapping[str, str] = {}


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
        since = candidate.weight_since
        return Window(
            stable=stable.revision,
            candidate=candidate.revision,
            since=since or now - snapshot.spec.analysis.interval,
            alone=candidate.weight == 100,
            sliding=since is None,
            relayed=snapshot.provider is spec.Provider.RELAY,
            sticky=snapshot.spec.rollout.traffic.sticky is not None,
            shadow=candidate.shadow > 0,
            cover=snapshot.spec.rollout.traffic.cover,
            weighed=candidate.weighed,
        )
    if soaking or first_soak(snapshot, now):
        before = previous.revision if previous is not None else NOBODY
        return Window(
            stable=before,
            candidate=stable.revision,
            since=stable.since,
            alone=True,
            soak=True,
            weighed=stable.weighed,
        )
    return None


def first_soak(snapshot: facts.Snapshot, now: datetime) -> bool:
    """A first version has taken all traffic uncompared: its absolute guards are all there is, for as long as a soak."""
    stable, candidate = snapshot.status.stable, snapshot.status.candidate
    if stable is None or not stable.first or stable.breach is not None:
        return False
    alone = candidate is None or isinstance(stages.of(candidate), stages.Trial)
    return alone and now < stable.since + snapshot.spec.rollout.soak


def _wants_sight(candidate: status.Candidate) -> bool:
    """It has traffic, or needs only metrics to get some."""
    return isinstance(stages.of(candidate), stages.Starting | stages.Step | stages.Promoting)


def question(snapshot: facts.Snapshot, now: datetime) -> Question | None:
    """What is to be judged now; None while nothing is."""
    asked = window(snapshot, now)
    if asked is None:
        return None
    arms = {asked.stable: counters.Arm.STABLE, asked.candidate: counters.Arm.CANDIDATE}
    return Question(
        window=asked,
        owner=snapshot.owner,
        analysis=snapshot.spec.analysis,
        steps=len(snapshot.steps),
        feedback=snapshot.spec.monitoring.feedback,
        scrape_interval=snapshot.operator.scrape_interval,
        attempt=max(1, snapshot.status.candidate.windows) if snapshot.status.candidate and not asked.soak else 1,
        pods=tuple(
            JudgedPod(
                uid=pod.uid,
                ip=pod.ip,
                name=pod.name,
                arm=arms[pod.revision],
                ready=pod.ready and pod.alive,
                started_at=pod.started_at,
            )
            for pod in snapshot.pods
            if pod.revision in arms
        ),
    )


def look(snapshot: facts.Snapshot, now: datetime) -> looks.Look | None:
    """Judges the window that `window` names from the snapshot's samples; None when there is nothing to judge."""
    asked = question(snapshot, now)
    return None if asked is None or snapshot.sight is None else judge(asked, snapshot.sight, now)


def judge(asked: Question, sight: facts.Sight, now: datetime) -> looks.Look:
    """The look from all samples of the window at once."""
    since = asked.window.since
    reading = _read(asked, sight.series, start=since, end=now)
    history = _read(asked, sight.history, start=since - HISTORY, end=since).slots if sight.history else ()
    counted = Counted(slots=reading.slots, history=history, blind=reading.blind, unseen=reading.unseen)
    return conclude(asked, counted, sight, now)


def conclude(asked: Question, counted: Counted, sight: facts.Sight, now: datetime) -> looks.Look:
    """The look from counted slots.

    Evidence is valid at any time: what was seen is judged first, and a regression that it proves stands whatever is
    missing now. Only then does blindness count.
    """
    blind = sight.error or _unseen(asked, counted, sight)
    judged = _judged(asked, counted)
    compared = asked.window.alone or any(slot.stable.requests for slot in counted.slots)
    if not blind or (judged.outcome is looks.Outcome.FAIL and compared):
        seen = _summary(judged, counted.slots, asked, now)
        because = f" ({sight.note})" if sight.note else ""
        return msgspec.structs.replace(
            seen,
            message=f"{seen.message}; metrics from {sight.source}{because}",
            source=sight.source,
            slots=counted.slots,
            history=counted.history,
        )
    return looks.Look(
        outcome=looks.Outcome.ERROR if sight.error else looks.Outcome.NO_DATA,
        reason=status.Reason.METRICS_UNAVAILABLE,
        message=blind,
        at=now,
        source=sight.source,
        alone=asked.window.alone,
        soak=asked.window.soak,
        misconfigured=sight.misconfigured,
    )


def with_own_metrics(seen: looks.Look, results: Sequence[own_metrics.Result]) -> looks.Look:
    """The look with the user's own metrics. What was proven before stands; else the worst of them decides."""
    seen = msgspec.structs.replace(seen, own=tuple(results))
    if seen.failed:
        return seen
    failed = [one for one in results if one.outcome is looks.Outcome.FAIL]
    if failed:
        message = " | ".join(one.message for one in failed)
        reason = judgement.Reason.METRIC_OUT_OF_BOUNDS
        return msgspec.structs.replace(
            seen, outcome=looks.Outcome.FAIL, reason=reason, message=message, breach_at=seen.breach_at or seen.at
        )
    open_ = [one for one in results if one.outcome is not looks.Outcome.PASS]
    if not open_ or not seen.passed:
        return seen
    suspected = any(one.outcome is looks.Outcome.INCONCLUSIVE for one in open_)
    return msgspec.structs.replace(
        seen,
        outcome=looks.Outcome.INCONCLUSIVE,
        reason=judgement.Reason.REGRESSION_SUSPECTED if suspected else judgement.Reason.METRICS_UNAVAILABLE,
        message=" | ".join(one.message for one in open_),
        misconfigured=any(one.misconfigured for one in open_),
    )


def begun(asked: Question, now: datetime) -> looks.Look | None:
    """The look at a window so young that nothing can have been seen in it; None where samples are to be expected."""
    if asked.window.sliding or now - asked.window.since >= min(asked.analysis.interval, LONGEST_QUESTION):
        return None
    return looks.Look(
        outcome=looks.Outcome.INCONCLUSIVE,
        reason=status.Reason.INSUFFICIENT_TRAFFIC,
        message="the window has just begun",
        at=now,
        alone=asked.window.alone,
        soak=asked.window.soak,
        rate=asked.limits.false_rollback_rate,
    )


def aged(seen: looks.Look, asked: Question, now: datetime) -> looks.Look:
    """A look that nothing has renewed says nothing about now, except that a regression was proven."""
    allowed = 2 * asked.analysis.interval + LONGEST_QUESTION
    if seen.failed or seen.blind or now - seen.at <= allowed:
        return seen
    return looks.Look(
        outcome=looks.Outcome.NO_DATA,
        reason=status.Reason.METRICS_UNAVAILABLE,
        message=f"no new look at the metrics since {seen.at:%H:%M:%S} UTC",
        at=seen.at,
        source=seen.source,
        alone=seen.alone,
        soak=seen.soak,
    )


def _unseen(asked: Question, counted: Counted, sight: facts.Sight) -> str:
    if counted.blind and sight.note:
        return f"{counted.blind}; {sight.note}"
    if sight.partial:
        return f"{sight.source} says that its answer may be partial: {sight.partial}"
    if asked.window.sliding:  # nothing to judge yet; what can't be judged later is a reason not to begin
        return counted.blind or " | ".join(counted.unseen.values())
    return counted.blind


def _judged(asked: Question, counted: Counted) -> judgement.Judgement:
    if asked.window.alone:
        return soak.judge_alone(counted.slots, asked.limits, reference=counted.history, unseen=counted.unseen)
    return verdict.judge(counted.slots, asked.limits, history=counted.history, unseen=counted.unseen)


def _read(asked: Question, series: Sequence[counters.Series], *, start: datetime, end: datetime) -> counters.Reading:
    return counters.read(
        series,
        asked.counted_pods,
        start=start.timestamp(),
        end=end.timestamp(),
        interval=asked.analysis.interval.total_seconds(),
        scrape_interval=asked.scrape_interval.total_seconds(),
        arms=asked.arms,
        relay=asked.relay,
    )


def _summary(judged: judgement.Judgement, seen: Sequence[Slot], asked: Question, now: datetime) -> looks.Look:
    first = next((place for place, slot in enumerate(seen) if slot.candidate.requests), None)
    answered = [slot for slot in seen[first:] if slot.candidate.requests or slot.stable.requests] if seen else []

    def moment(place: int) -> datetime:
        return datetime.fromtimestamp(asked.window.since.timestamp() + sum(slot.seconds for slot in seen[:place]), UTC)

    failed = judged.breach_slot is not None
    nothing_yet = not seen
    return looks.Look(
        outcome=looks.Outcome.INCONCLUSIVE if nothing_yet else judged.outcome,
        reason=status.Reason.INSUFFICIENT_TRAFFIC if nothing_yet else judged.reason,
        message="; ".join(words for words in (explain.sentence(judged), explain.covered(seen)) if words),
        at=now,
        alone=asked.window.alone,
        soak=asked.window.soak,
        rate=asked.limits.false_rollback_rate,
        window=timedelta(seconds=judged.seconds),
        observed=timedelta(seconds=sum(slot.seconds for slot in answered)) if first is not None else timedelta(0),
        stable_requests=sum(slot.stable.requests for slot in seen),
        candidate_requests=sum(slot.candidate.requests for slot in seen),
        first_request_at=None if first is None else moment(first),
        breach_at=moment(judged.breach_slot + 1) if failed and judged.breach_slot is not None else None,
        metrics=judged.metrics,
        shift=explain.shift(judged),
        share=share.measured(seen),
    )
