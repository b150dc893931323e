"""In a step: the candidate has a share of the traffic and is compared with stable; only evidence and the clock move it.

Weight grows only with ready pods, with evidence in sight, and while stable is whole.
"""

from __future__ import annotations

import msgspec

from seatrial.api import spec, status
from seatrial.api import stage as stages
from seatrial.api.status import Phase, Reason
from seatrial.api.values import Duration
from seatrial.rollout import looks, traffic
from seatrial.rollout.decision import NOW, Case, Decision, decide, move, who

from . import pods, sight


def in_step(case: Case) -> Decision | None:
    """What the present step waits for, or the next one."""
    candidate, stage = case.candidate, case.stage
    if candidate is None or not isinstance(stage, stages.Step):
        return None
    stage = sight.noted(case, stage)
    if pods.short(case, candidate):
        short_since = stage.short_since or case.now
        stage = msgspec.structs.replace(stage, short_since=short_since)
        return pods.waiting(case, candidate, stage, since=short_since, phase=Phase.CANARY)
    if pods.stable_has_gone(case):
        return pods.take_over(case)
    stage = msgspec.structs.replace(stage, short_since=None)
    if case.look is None or case.look.blind:
        return unseen(case, stage)
    wanted = current(case, stage.number)
    if stage.since is None or (stage.weight, stage.shadow) != (wanted.weight, wanted.shadow):
        if pods.stable_is_short(case):
            return pods.hold(case, stage, Reason.STARTING, pods.STABLE_FIRST)
        return give_weight(case, number=stage.number, windows=stage.windows + 1)
    stage = msgspec.structs.replace(stage, first_request_at=stage.first_request_at or case.look.first_request_at)
    return _judged(case, stage, wanted, case.look)


def current(case: Case, number: int) -> spec.Step:
    """The spec's step of that number; the last one where the spec has been shortened."""
    steps = case.snapshot.steps
    return steps[min(number, len(steps)) - 1]


def share(of: spec.Step | stages.Step) -> str:
    """What the candidate gets, in words."""
    copies = f"copies of {of.shadow}%" if of.shadow else ""
    answers = f"{of.weight}%" if of.weight or not of.shadow else ""
    return " and ".join(one for one in (answers, copies) if one)


def give_weight(case: Case, *, number: int, windows: int) -> Decision:
    """The step's weight, from now on; `windows` counts the windows of evidence that its rate is shared by."""
    if case.candidate is None:
        raise ValueError("there is no candidate to give weight to")
    step = current(case, number)
    stage = stages.Step(number=number, weight=step.weight, shadow=step.shadow, since=case.now, windows=windows)
    provider = case.snapshot.provider if case.candidate.provider else ""  # which an older operator didn't note
    candidate = msgspec.structs.replace(case.candidate, provider=provider)
    return decide(
        case,
        Reason.CANARY_PROGRESSING,
        f"{who(case)}: step {number}, {share(step)} of the traffic",
        phase=Phase.CANARY,
        candidate=stages.entered(candidate, stage),
        look_again=case.snapshot.spec.analysis.interval,
    )


def unseen(case: Case, stage: stages.Step | stages.Promoting) -> Decision:
    """Nothing advances on what isn't seen; `guards.candidate_unseen` takes the weight when it lasts. An operator that
    has just come, or come back, has not looked yet, which says nothing against the metrics.
    """
    limit = case.snapshot.spec.analysis.blind_timeout
    gone = f"no usable metrics for {limit}, the candidate's weight is 0 until they are back: "
    phase, reason = Phase.PROMOTING, Reason.PROMOTING
    if isinstance(stage, stages.Step):
        phase, reason = Phase.CANARY, Reason.CANARY_PROGRESSING
    return move(
        case,
        stage,
        reason if case.look is None else Reason.METRICS_UNAVAILABLE,
        f"{who(case)}: {'' if stage.weight or stage.shadow else gone}{sight.why(case)}",
        phase=phase,
        situation=sight.situation(case),
        look_again=case.snapshot.spec.analysis.interval,
    )


def _judged(case: Case, stage: stages.Step, step: spec.Step, look: looks.Look) -> Decision:
    rollout = case.snapshot.spec.rollout
    token = case.snapshot.commands.promote
    if token and token != case.status.commands.promote:
        commands = msgspec.structs.replace(case.status.commands, promote=token)
        return _advance(case, stage, skip_rest=token.endswith("/full"), commands=commands)
    if look.observed < step.min_duration or look.candidate_requests < step.min_requests:
        overdue = stage.since is not None and case.now - stage.since >= rollout.step_timeout
        on_what_was_seen = rollout.on_insufficient_traffic is spec.InsufficientTraffic.PROMOTE
        if overdue and on_what_was_seen and _nothing_against(look) and not _unproven(case, look):
            return _advance(case, stage)
        return pods.hold(
            case,
            stage,
            Reason.INSUFFICIENT_TRAFFIC if overdue else Reason.CANARY_PROGRESSING,
            f"step {stage.number} at {share(stage)}: {look.candidate_requests} of {step.min_requests} requests, "
            f"{Duration.of(look.observed)} of {step.min_duration} observed",
        )
    if not look.passed:
        return pods.hold(case, stage, Reason(look.reason), look.message)
    if missing := _unproven(case, look):
        words = f"step {stage.number} at {share(stage)}: not proven to be within the tolerance yet: {missing}"
        return pods.hold(case, stage, Reason.INSUFFICIENT_EVIDENCE, words)
    if (moved := case.snapshot.moved) is not None and moved.unlike:
        words = f"its inputs are unlike what it was made for, stable's are not: {moved.unlike}"
        return pods.hold(case, stage, Reason.INPUTS_UNLIKE_TRAINING, words)
    if pods.stable_is_short(case):
        return pods.hold(case, stage, Reason.STARTING, pods.STABLE_FIRST)
    if words := _not_in_force(case):
        return pods.hold(case, stage, Reason.TRAFFIC_NOT_ROUTED, f"step {stage.number} at {share(stage)}: {words}")
    if step.pause:
        return move(
            case,
            msgspec.structs.replace(stage, waiting_for_approval=True),
            Reason.PAUSED,
            f"{who(case)}: step {stage.number} passed; annotate seatrial.dev/promote to go on",
            phase=Phase.PAUSED,
            look_again=case.snapshot.spec.analysis.interval,
        )
    return _advance(case, stage)


def _not_in_force(case: Case) -> str:
    """What keeps the share from being what was asked for."""
    told = traffic.routed(case.snapshot, case.status)
    return told[1] if told is not None and not traffic.in_force(case.snapshot, case.status) else ""


def _unproven(case: Case, look: looks.Look) -> str:
    """What NonInferiority still asks for; nothing where only the absence of a regression is asked for."""
    asked = case.snapshot.spec.rollout.promotion is spec.Promotion.NON_INFERIORITY
    return look.unproven if asked else ""


def _nothing_against(look: looks.Look) -> bool:
    """Counters are seen and speak for the version, or there were no requests to count."""
    return look.passed or (look.outcome is looks.Outcome.INCONCLUSIVE and look.reason == Reason.INSUFFICIENT_TRAFFIC)


def _advance(
    case: Case, stage: stages.Step, *, skip_rest: bool = False, commands: status.Commands | None = None
) -> Decision:
    last = skip_rest or stage.number >= len(case.snapshot.steps)
    following: stages.Stage
    if last:
        following = stages.Promoting(
            number=stage.number,
            weight=stage.weight,
            shadow=stage.shadow,
            since=case.now,
            weight_since=stage.since,
            first_request_at=stage.first_request_at,
            windows=stage.windows,
        )
    else:
        following = msgspec.structs.replace(
            stage, number=stage.number + 1, short_since=case.now, waiting_for_approval=False, windows=0
        )
    return move(
        case,
        following,
        Reason.PROMOTING if last else Reason.CANARY_PROGRESSING,
        f"{who(case)}: step {stage.number} passed",
        phase=Phase.PROMOTING if last else Phase.CANARY,
        commands=commands or case.status.commands,
        look_again=NOW,
    )
