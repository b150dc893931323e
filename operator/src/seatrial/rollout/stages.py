"""Rules of the way a version goes, in the order it goes: trial, start, canary, promotion, soak; see rollout.md of the
documentation. A rule passes (None) when the stage is not this one."""

from __future__ import annotations

import msgspec

from seatrial.api import spec, status
from seatrial.api.status import Phase, Reason, VerdictKind
from seatrial.api.values import Duration, whole_seconds

from . import facts, looking, report, traffic
from .decision import NOW, Case, Decision, Situation, decide, reject, verdict_on
from .guards import pods_asked_for

TRIAL_FAILURES = frozenset({Reason.MODEL_REJECTED, Reason.TRIAL_FAILED, Reason.TRIAL_TIMEOUT})


def retry_requested(case: Case) -> Decision | None:
    """The retry command forgets the rejection of the wanted revision, once a token."""
    token, verdict = case.snapshot.commands.retry, case.snapshot.verdict(case.wanted)
    if not token or token == case.status.commands.retry:
        return None
    if verdict is None or verdict.verdict is not VerdictKind.REJECTED:
        return None
    return decide(
        case,
        Reason.PENDING,
        f"{_who(case)}: tried again on the retry command ({token})",
        phase=Phase.PENDING,
        commands=msgspec.structs.replace(case.status.commands, retry=token),
        forgiven=case.wanted,
        look_again=NOW,
    )


def candidate_superseded(case: Case) -> Decision | None:
    """Another revision is wanted now: the candidate leaves without a memory against it."""
    candidate = case.candidate
    if candidate is None or candidate.revision == case.wanted:
        return None
    message = f"version {candidate.model_version} ({candidate.revision}) left: another version is wanted now"
    return decide(
        case,
        Reason.SUPERSEDED,
        message,
        phase=Phase.PENDING,
        candidate=None,
        verdict=verdict_on(case, candidate, VerdictKind.SUPERSEDED, reason=Reason.SUPERSEDED, message=message),
        look_again=NOW,
    )


def wanted_is_stable(case: Case) -> Decision | None:
    """What is wanted has the traffic. After a promotion the old version stays warm until the soak is over."""
    stable = case.stable
    if stable is None or stable.revision != case.wanted:
        return None
    if case.snapshot.ready(stable.revision) == 0:
        trouble = case.snapshot.trouble(stable.revision) or "its pods are starting"
        message = f"version {stable.model_version} has no pod Ready: {trouble}"
        return decide(case, Reason.STARTING, message, phase=Phase.STARTING)
    message = f"version {stable.model_version} ({stable.revision}) serves"
    if case.warm is not None:
        message += f"; version {case.warm.model_version} stays warm until the soak is over"
    return decide(
        case,
        Reason.PROMOTED,
        message,
        phase=Phase.SOAKING if case.warm else Phase.STABLE,
        situation=Situation.READY,
    )


def wanted_was_rejected(case: Case) -> Decision | None:
    """A rejected revision gets no second chance by itself; stable keeps all traffic."""
    verdict = case.snapshot.verdict(case.wanted)
    if verdict is None or verdict.verdict is not VerdictKind.REJECTED:
        return None
    refused = verdict.reason in TRIAL_FAILURES
    serving = f"; version {case.stable.model_version} serves" if case.stable else ""
    return decide(
        case,
        verdict.reason if refused or case.stable is None else Reason.ROLLED_BACK,
        f"{_who(case)}: {verdict.message}{serving}. Change the spec, or annotate seatrial.dev/retry to try it again",
        phase=Phase.STALLED if refused else Phase.ROLLED_BACK,
        situation=Situation.FAILED,
    )


def new_candidate(case: Case) -> Decision | None:
    """A revision not seen before goes on trial; one whose trial is on record starts at once."""
    if case.candidate is not None:
        return None
    content = case.snapshot.wanted.content
    candidate = status.Candidate(
        revision=case.wanted,
        model_version=content.model_version,
        sha256=content.sha256,
        image=content.image,
    )
    known = case.snapshot.reports.get(case.wanted)
    if known is not None:
        return _start(case, candidate, known)
    return decide(
        case,
        Reason.TRIAL_RUNNING,
        f"{_who(case)}: on trial",
        phase=Phase.TRIAL,
        candidate=msgspec.structs.replace(candidate, trial_started_at=case.now),
        look_again=NOW,
    )


def on_trial(case: Case) -> Decision | None:
    """The Job runs until there is a report; a refused model never had a serving pod."""
    candidate = case.candidate
    if candidate is None or candidate.started_at is not None or candidate.step or candidate.trial_started_at is None:
        return None
    known = case.snapshot.reports.get(candidate.revision)
    trial = case.snapshot.trials.get(candidate.revision)
    if known is None and trial is not None and trial.created_at >= whole_seconds(candidate.trial_started_at):
        if trial.state is facts.JobState.FAILED:
            summary = status.TrialStatus(revision=candidate.revision, outcome="Failed", message=trial.trouble)
            return reject(case, candidate, Reason.TRIAL_FAILED, f"the trial failed: {trial.trouble}", trial=summary)
        if trial.report is not None and trial.report.outcome is report.Outcome.REJECTED:
            message = f"{trial.report.reason}: {trial.report.message}"
            summary = looking.trial_status(candidate.revision, trial.report)
            return reject(case, candidate, Reason.MODEL_REJECTED, message, trial=summary)
        known = trial.report
    if known is not None:
        return _start(case, candidate, known)
    deadline = candidate.trial_started_at + case.snapshot.spec.trial.timeout
    trouble = f" ({trial.trouble})" if trial is not None and trial.trouble else ""
    return decide(
        case,
        Reason.TRIAL_RUNNING,
        f"{_who(case)}: on trial{trouble}",
        phase=Phase.TRIAL,
        look_again=max(deadline - case.now, NOW),
    )


def starting(case: Case) -> Decision | None:
    """No weight before readiness, none before its metrics arrive, and none while a third version has pods that the
    shared selector would catch.
    """
    candidate = case.candidate
    if candidate is None or candidate.promoting or candidate.step:
        return None
    step = case.snapshot.spec.rollout.steps[0]
    ready, needed = case.snapshot.ready(candidate.revision), pods_asked_for(case, candidate)
    if ready < needed:
        return _waiting_for_pods(case, candidate, needed=needed)
    if case.status.previous is not None or _third_version_has_pods(case, candidate):
        return decide(
            case,
            Reason.STARTING,
            f"{_who(case)}: waits until the version before stable has left",
            phase=Phase.STARTING,
            previous=None,
            look_again=case.snapshot.spec.analysis.interval,
        )
    if case.look is None or case.look.blind:
        return _unseen(case)
    return _give_weight(case, candidate, step=1, weight=step.weight)


def canary(case: Case) -> Decision | None:
    """The candidate has a share of the traffic and is compared with stable; only evidence and the clock move it on."""
    candidate = case.candidate
    if candidate is None or candidate.promoting or not candidate.step:
        return None
    steps = case.snapshot.spec.rollout.steps
    step = steps[min(candidate.step, len(steps)) - 1]
    look = case.look
    if look is None or look.blind:
        return _blind(case, candidate, look.message if look else "no look at the metrics yet")
    candidate = msgspec.structs.replace(candidate, blind_since=None)
    ready, needed = case.snapshot.ready(candidate.revision), pods_asked_for(case, candidate)
    if ready < needed:
        return _waiting_for_pods(case, candidate, needed=needed)
    if candidate.weight != step.weight:
        if _stable_is_short(case):
            return _hold(case, candidate, Reason.STARTING, "stable pods are missing; the candidate's weight waits")
        return _give_weight(case, candidate, step=candidate.step, weight=step.weight)
    candidate = msgspec.structs.replace(
        candidate, started_at=None, step_started_at=candidate.step_started_at or look.first_request_at
    )
    return _judge_step(case, candidate, step, look)


def _judge_step(case: Case, candidate: status.Candidate, step: spec.Step, look: looking.Look) -> Decision:
    rollout = case.snapshot.spec.rollout
    token = case.snapshot.commands.promote
    approved = bool(token) and token != case.status.commands.promote
    if approved:
        commands = msgspec.structs.replace(case.status.commands, promote=token)
        return _advance(case, candidate, skip_rest=token.endswith("/full"), commands=commands)
    if look.observed < step.min_duration or look.candidate_requests < step.min_requests:
        overdue = candidate.weight_since is not None and case.now - candidate.weight_since >= rollout.step_timeout
        if overdue and rollout.on_insufficient_traffic is spec.InsufficientTraffic.PROMOTE and look.passed:
            return _advance(case, candidate)
        return _hold(
            case,
            candidate,
            Reason.INSUFFICIENT_TRAFFIC if overdue else Reason.CANARY_PROGRESSING,
            f"step {candidate.step} at {candidate.weight}%: {look.candidate_requests} of {step.min_requests} requests, "
            f"{Duration.of(look.observed)} of {step.min_duration} observed",
        )
    if not look.passed:
        return _hold(case, candidate, Reason(look.reason), look.message)
    if _stable_is_short(case):
        return _hold(case, candidate, Reason.STARTING, "stable pods are missing; the candidate's weight waits")
    if step.pause:
        return decide(
            case,
            Reason.PAUSED,
            f"{_who(case)}: step {candidate.step} passed; annotate seatrial.dev/promote to go on",
            phase=Phase.PAUSED,
            candidate=msgspec.structs.replace(candidate, waiting_for_approval=True),
            look_again=case.snapshot.spec.analysis.interval,
        )
    return _advance(case, candidate)


def promoting(case: Case) -> Decision | None:
    """Full capacity first, then all traffic, then the name: the pods that were analysed become stable in place."""
    candidate = case.candidate
    if candidate is None or not candidate.promoting:
        return None
    ready, needed = case.snapshot.ready(candidate.revision), pods_asked_for(case, candidate)
    if ready < needed and candidate.weight < 100:
        return _waiting_for_pods(case, candidate, needed=needed)
    if candidate.weight < 100:
        return decide(
            case,
            Reason.PROMOTING,
            f"{_who(case)}: takes all traffic",
            phase=Phase.PROMOTING,
            candidate=msgspec.structs.replace(candidate, weight=100, weight_since=case.now),
            look_again=NOW,
        )
    asked = traffic.selector(
        case.snapshot.owner.name, stable=case.stable, candidate=candidate, wanted=candidate.revision
    )
    if not traffic.in_force(case.snapshot, asked):
        return decide(
            case,
            Reason.PROMOTING,
            f"{_who(case)}: waits for the endpoints to follow",
            phase=Phase.PROMOTING,
            look_again=case.snapshot.spec.analysis.interval,
        )
    return _become_stable(case, candidate)


def _become_stable(case: Case, candidate: status.Candidate) -> Decision:
    old = case.stable
    previous = None
    soak = case.snapshot.spec.rollout.soak
    if old is not None and soak:
        previous = status.Previous(
            revision=old.revision,
            model_version=old.model_version,
            sha256=old.sha256,
            served_sha256=old.served_sha256,
            precision=old.precision,
            image=old.image,
            since=old.since,
            warm_until=case.now + soak,
        )
    message = f"version {candidate.model_version} ({candidate.revision}) is stable now"
    return decide(
        case,
        Reason.PROMOTED,
        message,
        phase=Phase.SOAKING if previous else Phase.STABLE,
        situation=Situation.READY,
        stable=status.Stable(
            revision=candidate.revision,
            model_version=candidate.model_version,
            sha256=candidate.sha256,
            served_sha256=candidate.served_sha256,
            precision=candidate.precision,
            image=candidate.image,
            since=case.now,
        ),
        previous=previous,
        candidate=None,
        verdict=verdict_on(case, candidate, VerdictKind.PROMOTED, reason=Reason.PROMOTED, message=message),
        look_again=NOW,
    )


def _start(case: Case, candidate: status.Candidate, known: report.Report) -> Decision:
    """Pods are asked for. A first install, and a return to a promoted revision, skip the canary."""
    verdict = case.snapshot.verdict(candidate.revision)
    promoted_before = verdict is not None and verdict.verdict is VerdictKind.PROMOTED
    return decide(
        case,
        Reason.STARTING,
        f"{_who(case)}: trial passed, pods are starting",
        phase=Phase.STARTING,
        trial=looking.trial_status(candidate.revision, known),
        candidate=msgspec.structs.replace(
            candidate,
            started_at=case.now,
            promoting=case.stable is None or promoted_before,
            served_sha256=known.served_sha256,
            precision=known.precision,
        ),
        look_again=NOW,
    )


def _give_weight(case: Case, candidate: status.Candidate, *, step: int, weight: int) -> Decision:
    return decide(
        case,
        Reason.CANARY_PROGRESSING,
        f"{_who(case)}: step {step}, {weight}% of the traffic",
        phase=Phase.CANARY,
        candidate=msgspec.structs.replace(
            candidate,
            step=step,
            weight=weight,
            weight_since=case.now,
            step_started_at=None,
            started_at=None,
            blind_since=None,
        ),
        look_again=case.snapshot.spec.analysis.interval,
    )


def _advance(
    case: Case, candidate: status.Candidate, *, skip_rest: bool = False, commands: status.Commands | None = None
) -> Decision:
    last = skip_rest or candidate.step >= len(case.snapshot.spec.rollout.steps)
    return decide(
        case,
        Reason.PROMOTING if last else Reason.CANARY_PROGRESSING,
        f"{_who(case)}: step {candidate.step} passed",
        phase=Phase.PROMOTING if last else Phase.CANARY,
        commands=commands or case.status.commands,
        candidate=msgspec.structs.replace(
            candidate,
            step=candidate.step if last else candidate.step + 1,
            promoting=last,
            started_at=case.now,
            waiting_for_approval=False,
        ),
        look_again=NOW,
    )


def _waiting_for_pods(case: Case, candidate: status.Candidate, *, needed: int) -> Decision:
    """Look again at the deadline even if nothing happens until then."""
    started = candidate.started_at or case.now
    deadline = started + case.snapshot.spec.rollout.start_timeout
    trouble = case.snapshot.trouble(candidate.revision)
    message = f"{_who(case)}: {case.snapshot.ready(candidate.revision)} of {needed} pods Ready"
    refused = case.snapshot.refusal(candidate.revision)
    look_again = max(deadline - case.now, NOW)
    if candidate.weight:
        look_again = min(look_again, case.snapshot.spec.analysis.interval)
    return decide(
        case,
        Reason.CHILD_REFUSED if refused else Reason.STARTING,
        message + (f": {trouble}" if trouble else ""),
        phase=Phase.PROMOTING if candidate.promoting else Phase.CANARY if candidate.weight else Phase.STARTING,
        situation=Situation.FAILED if refused else Situation.PROGRESSING,
        candidate=msgspec.structs.replace(candidate, started_at=started),
        look_again=look_again,
    )


def _blind(case: Case, candidate: status.Candidate, why: str) -> Decision:
    """Blind is not safe: the weight is held for a while, then it goes to 0 without a verdict until sight is back."""
    since = candidate.blind_since or case.now
    analysis = case.snapshot.spec.analysis
    blind = msgspec.structs.replace(candidate, blind_since=since)
    if candidate.weight and case.now - since >= analysis.blind_timeout:
        blind = msgspec.structs.replace(blind, weight=0, weight_since=None, step_started_at=None)
        why = f"no usable metrics for {analysis.blind_timeout}, the candidate's weight is 0 until they are back: {why}"
    return decide(
        case,
        Reason.METRICS_UNAVAILABLE,
        f"{_who(case)}: {why}",
        phase=Phase.CANARY,
        candidate=blind,
        look_again=analysis.interval,
    )


def _unseen(case: Case) -> Decision:
    """A new pod is scraped some seconds after it is Ready; a Prometheus that fails is worth another word."""
    failing = case.look is not None and case.look.outcome is looking.Outcome.ERROR
    return decide(
        case,
        Reason.METRICS_UNAVAILABLE if failing else Reason.STARTING,
        f"{_who(case)}: pods Ready, waits for their metrics: {case.look.message if case.look else 'no look yet'}",
        phase=Phase.STARTING,
        look_again=case.snapshot.spec.analysis.interval,
    )


def _hold(case: Case, candidate: status.Candidate, reason: Reason, message: str) -> Decision:
    return decide(
        case,
        reason,
        f"{_who(case)}: {message}",
        phase=Phase.CANARY,
        candidate=candidate,
        look_again=case.snapshot.spec.analysis.interval,
    )


def _stable_is_short(case: Case) -> bool:
    return case.stable is not None and case.snapshot.ready(case.stable.revision) < case.snapshot.spec.replicas


def _third_version_has_pods(case: Case, candidate: status.Candidate) -> bool:
    known = {candidate.revision, case.stable.revision if case.stable else ""}
    return any(pod.revision not in known and not pod.leaving for pod in case.snapshot.pods)


def _who(case: Case) -> str:
    return f"version {case.snapshot.wanted.content.model_version} ({case.wanted})"
