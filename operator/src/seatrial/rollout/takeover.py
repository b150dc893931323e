"""Rules of a candidate whose pods are asked for: capacity, the steps of the canary, all traffic, the name.

Weight grows only with ready pods, with evidence in sight, and while stable is whole. A stable version without any pod
for as long as pods may take to start is no longer there to compare with, or to protect: whoever is Ready takes over.
"""

from __future__ import annotations

import msgspec

from seatrial.api import spec, status
from seatrial.api.status import Phase, Reason, VerdictKind
from seatrial.api.values import Duration

from . import looking, traffic
from .decision import NOW, Case, Decision, Situation, decide, verdict_on, who
from .guards import pods_asked_for

_STABLE_FIRST = "stable pods are missing; the candidate's weight waits"


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
        if candidate.blind_since is not None:  # they were Ready before
            candidate = msgspec.structs.replace(candidate, started_at=case.now, blind_since=None)
        return _waiting_for_pods(case, candidate, needed=needed)
    if _stable_has_gone(case):
        return _take_over(case, candidate)
    if case.status.previous is not None or _third_version_has_pods(case, candidate):
        return decide(
            case,
            Reason.STARTING,
            f"{who(case)}: waits until the version before stable has left",
            phase=Phase.STARTING,
            previous=None,
            look_again=case.snapshot.spec.analysis.interval,
        )
    if case.look is None or case.look.blind:
        return _unseen(case, candidate)
    if _stable_is_short(case):
        return decide(
            case,
            Reason.STARTING,
            f"{who(case)}: {_STABLE_FIRST}",
            phase=Phase.STARTING,
            candidate=candidate,
            look_again=case.snapshot.spec.analysis.interval,
        )
    return _give_weight(case, candidate, step=1, weight=step.weight)


def canary(case: Case) -> Decision | None:
    """The candidate has a share of the traffic and is compared with stable; only evidence and the clock move it on."""
    candidate = case.candidate
    if candidate is None or candidate.promoting or not candidate.step:
        return None
    steps = case.snapshot.spec.rollout.steps
    step = steps[min(candidate.step, len(steps)) - 1]
    look, candidate = case.look, _sighted(case, candidate)
    ready, needed = case.snapshot.ready(candidate.revision), pods_asked_for(case, candidate)
    if ready < needed:
        return _waiting_for_pods(case, candidate, needed=needed)
    if _stable_has_gone(case):
        return _take_over(case, candidate)
    candidate = msgspec.structs.replace(candidate, started_at=None)
    if look is None or look.blind:
        return _blind(case, candidate)
    if candidate.weight != step.weight:
        if _stable_is_short(case):
            return _hold(case, candidate, Reason.STARTING, _STABLE_FIRST)
        return _give_weight(case, candidate, step=candidate.step, weight=step.weight)
    candidate = msgspec.structs.replace(candidate, step_started_at=candidate.step_started_at or look.first_request_at)
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
        return _hold(case, candidate, Reason.STARTING, _STABLE_FIRST)
    if step.pause:
        return decide(
            case,
            Reason.PAUSED,
            f"{who(case)}: step {candidate.step} passed; annotate seatrial.dev/promote to go on",
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
    if candidate.weight < 100:
        judged = bool(candidate.step)  # a first install and a fast return have no evidence to wait for
        candidate = _sighted(case, candidate) if judged else candidate
        ready, needed = case.snapshot.ready(candidate.revision), pods_asked_for(case, candidate)
        if ready < needed:
            return _waiting_for_pods(case, candidate, needed=needed)
        if judged and (case.look is None or case.look.blind):
            return _blind(case, candidate)
        return decide(
            case,
            Reason.PROMOTING,
            f"{who(case)}: takes all traffic",
            phase=Phase.PROMOTING,
            candidate=msgspec.structs.replace(candidate, weight=100, weight_since=case.now),
            look_again=NOW,
        )
    asked = traffic.selector(case.snapshot.owner.name, stable=case.stable, candidate=candidate)
    if not traffic.in_force(case.snapshot, asked):
        return decide(
            case,
            Reason.PROMOTING,
            f"{who(case)}: waits for the endpoints to follow",
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
            **old.identity(),
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
            **candidate.identity(),
            since=case.now,
        ),
        previous=previous,
        candidate=None,
        verdict=verdict_on(case, candidate, VerdictKind.PROMOTED, reason=Reason.PROMOTED, message=message),
        look_again=NOW,
    )


def _give_weight(case: Case, candidate: status.Candidate, *, step: int, weight: int) -> Decision:
    return decide(
        case,
        Reason.CANARY_PROGRESSING,
        f"{who(case)}: step {step}, {weight}% of the traffic",
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
        f"{who(case)}: step {candidate.step} passed",
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
    message = f"{who(case)}: {case.snapshot.ready(candidate.revision)} of {needed} pods Ready"
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


def _sighted(case: Case, candidate: status.Candidate) -> status.Candidate:
    """Blind is not safe: the weight is held for a while, then it goes to 0 without a verdict until sight is back.

    It is kept while stable has no pod Ready that could take the requests.
    """
    if case.look is not None and not case.look.blind:
        return msgspec.structs.replace(candidate, blind_since=None)
    since = candidate.blind_since or case.now
    blind = msgspec.structs.replace(candidate, blind_since=since)
    somebody = case.stable is None or case.snapshot.ready(case.stable.revision) > 0
    if candidate.weight and somebody and case.now - since >= case.snapshot.spec.analysis.blind_timeout:
        return msgspec.structs.replace(blind, weight=0, weight_since=None, step_started_at=None)
    return blind


def _blind(case: Case, candidate: status.Candidate) -> Decision:
    analysis = case.snapshot.spec.analysis
    why = case.look.message if case.look else "no look at the metrics yet"
    if candidate.weight == 0:
        why = f"no usable metrics for {analysis.blind_timeout}, the candidate's weight is 0 until they are back: {why}"
    return decide(
        case,
        Reason.METRICS_UNAVAILABLE,
        f"{who(case)}: {why}",
        phase=Phase.PROMOTING if candidate.promoting else Phase.CANARY,
        situation=_without_metrics(case),
        candidate=candidate,
        look_again=analysis.interval,
    )


def _unseen(case: Case, candidate: status.Candidate) -> Decision:
    """A new pod is scraped some seconds after it is Ready; longer silence, or a Prometheus that fails, has a name."""
    since = candidate.blind_since or case.now
    analysis, look = case.snapshot.spec.analysis, case.look
    failing = look is not None and look.outcome is looking.Outcome.ERROR
    return decide(
        case,
        Reason.METRICS_UNAVAILABLE if failing or case.now - since >= analysis.blind_timeout else Reason.STARTING,
        f"{who(case)}: pods Ready, waits for their metrics: {look.message if look else 'no look yet'}",
        phase=Phase.STARTING,
        situation=_without_metrics(case),
        candidate=msgspec.structs.replace(candidate, blind_since=since),
        look_again=analysis.interval,
    )


def _without_metrics(case: Case) -> Situation:
    """Stalled, though still looking, when somebody has to change a setting; an outage is waited for."""
    return Situation.FAILED if case.look is not None and case.look.misconfigured else Situation.PROGRESSING


def _hold(case: Case, candidate: status.Candidate, reason: Reason, message: str) -> Decision:
    return decide(
        case,
        reason,
        f"{who(case)}: {message}",
        phase=Phase.CANARY,
        candidate=candidate,
        look_again=case.snapshot.spec.analysis.interval,
    )


def _stable_is_short(case: Case) -> bool:
    return case.stable is not None and case.snapshot.ready(case.stable.revision) < case.snapshot.spec.replicas


def _stable_has_gone(case: Case) -> bool:
    stable = case.stable
    if stable is None or stable.missing_since is None or case.snapshot.ready(stable.revision):
        return False  # the status may be older than the pods: nobody wrote while the operator was away
    return case.now - stable.missing_since >= case.snapshot.spec.rollout.start_timeout


def _take_over(case: Case, candidate: status.Candidate) -> Decision:
    """As in a first installation: full capacity, then all traffic; there is nothing to compare with."""
    return decide(
        case,
        Reason.PROMOTING,
        f"{who(case)}: stable has had no pod Ready for {case.snapshot.spec.rollout.start_timeout}, so it takes over",
        phase=Phase.PROMOTING,
        candidate=msgspec.structs.replace(
            candidate, promoting=True, step=0, started_at=case.now, blind_since=None, waiting_for_approval=False
        ),
        look_again=NOW,
    )


def _third_version_has_pods(case: Case, candidate: status.Candidate) -> bool:
    known = {candidate.revision, case.stable.revision if case.stable else ""}
    return any(pod.revision not in known and not pod.leaving for pod in case.snapshot.pods)
