"""Rules asked first, in every stage, before anything that can fail: regressions, commands, crash loops, deadlines."""

from __future__ import annotations

from datetime import datetime

import msgspec

from seatrial.api import spec, status
from seatrial.api import stage as stages
from seatrial.api.status import Phase, Reason
from seatrial.rollout import bounds, facts, looks, traffic
from seatrial.rollout.decision import NOW, Case, Decision, Situation, back_to_stable, decide, move, reject, who

from . import returning, sight

WINDOWS = 3  # of a step, until requests that nobody answers are held against the version


def candidate_regressed(case: Case) -> Decision | None:
    """A candidate proven worse than stable, or too bad in itself, loses its traffic before anything else happens; one
    that has only had copies of requests, before anybody has had an answer of it.

    With onRegression Pause it isn't rejected: it is held, and stays what it is until somebody decides.
    """
    candidate, look = case.candidate, case.look
    if candidate is None:
        return None
    pauses = case.snapshot.spec.rollout.on_regression is spec.OnRegression.PAUSE
    if candidate.hold is not None and not candidate.hold.harmless and not pauses:
        return reject(case, candidate, candidate.hold.reason, candidate.hold.message)
    tried = candidate.weight or candidate.shadow
    if not tried or look is None or look.soak or look.outcome is not looks.Outcome.FAIL:
        return None
    if look.unreached and isinstance(case.stage, stages.Step | stages.Promoting) and case.stage.windows < WINDOWS:
        return _begun_again(case, case.stage)
    reason = Reason(look.reason) if candidate.weight else Reason.SHADOW_FAILED
    if pauses and isinstance(case.stage, stages.Step | stages.Promoting):
        return _held(case, candidate, case.stage, status.Hold(reason=reason, message=look.message, at=case.now))
    return reject(case, candidate, reason, look.message)


def _begun_again(case: Case, stage: stages.Step | stages.Promoting) -> Decision:
    """A pod that was evicted, or whose node is gone, can't be told from a version that ends its server, while nobody
    answers. Stable has answered in its place, so another window costs nobody anything.
    """
    return move(
        case,
        sight.begun_again(stage),
        Reason.TRAFFIC_NOT_ROUTED,
        f"{who(case)}: requests did not reach its pods, so its share is taken back and the step begins again "
        f"(window {stage.windows} of {WINDOWS}, the last one decides)",
        phase=Phase.CANARY,
        look_again=NOW,
    )


def _held(
    case: Case, candidate: status.Candidate, stage: stages.Step | stages.Promoting, hold: status.Hold
) -> Decision:
    """Its traffic goes, its pods stay, nothing is remembered against it. A promote token of before was given without
    knowing this, so it is used up: it would end the hold, and the version would be held and let go for ever.
    """
    commands = case.status.commands
    hold = msgspec.structs.replace(hold, message=bounds.cut(hold.message))
    return decide(
        case,
        hold.reason,
        hold.message,
        phase=Phase.PAUSED,
        candidate=msgspec.structs.replace(stages.entered(candidate, sight.begun_again(stage)), hold=hold),
        commands=msgspec.structs.replace(commands, promote=case.snapshot.commands.promote or commands.promote),
        rollback=back_to_stable(case, candidate, hold.reason, hold.message),
        look_again=NOW,
    )


def promoted_regressed(case: Case) -> Decision | None:
    """During the soak the way back is one flip: the old version is warm and takes all traffic again."""
    look = case.look
    if case.breach is not None or look is None or not look.soak or look.outcome is not looks.Outcome.FAIL:
        return None
    return returning.condemn(
        case, Reason.REGRESSED_AFTER_PROMOTION, look.message, at=look.breach_at, healthy=look.healthy_percent
    )


def abort_requested(case: Case) -> Decision | None:
    """The abort command ends the rollout under way, or the soak; the version counts as rejected."""
    token = case.snapshot.commands.abort
    if not token or token == case.status.commands.abort:
        return None
    commands = msgspec.structs.replace(case.status.commands, abort=token)
    message = f"stopped by the abort command ({token})"
    if case.candidate is not None:
        return reject(case, case.candidate, Reason.ABORTED, message, commands=commands)
    if case.warm is not None and case.breach is None:
        return returning.condemn(case, Reason.ABORTED, message, commands=commands)
    return None


def candidate_crash_looping(case: Case) -> Decision | None:
    """Pods that start again and again won't serve; their own message says why."""
    candidate = case.candidate
    said = _crash(case, candidate.revision) if candidate is not None else None
    if candidate is None or said is None:
        return None
    return reject(case, candidate, Reason.CRASH_LOOP, f"a candidate pod keeps crashing: {said}")


def promoted_crash_looping(case: Case) -> Decision | None:
    """The same during the soak, where full load may be what kills the pods. Requests that meet no pod leave no trace
    in the metrics, so evidence alone would not see it.
    """
    stable = case.stable
    if stable is None or case.warm is None or case.breach is not None:
        return None
    said = _crash(case, stable.revision)
    if said is None:
        return None
    return returning.condemn(case, Reason.CRASH_LOOP, f"a pod of the promoted version keeps crashing: {said}")


def _crash(case: Case, revision: str) -> str | None:
    """What a pod says that starts again and again; None when there is none."""
    own = (pod for pod in case.snapshot.pods if pod.revision == revision and pod.alive)
    return next((pod.trouble for pod in own if pod.crash_looping), None)


def condemned_returns(case: Case) -> Decision | None:
    """A version proven bad in its soak gives way as soon as the one before it can take over."""
    return returning.flip(case)


def candidate_never_became_ready(case: Case) -> Decision | None:
    """Pods asked for must be Ready by startTimeout, if it is the version's own fault that they aren't.

    What keeps them otherwise (no room, quota, a node or store that is away) is waited for, and said: the cluster's
    trouble is no verdict on a model.
    """
    candidate, since = case.candidate, _pods_awaited_since(case)
    limit = case.snapshot.spec.rollout.start_timeout
    if candidate is None or since is None or case.now - since < limit:
        return None
    ready, needed = case.snapshot.ready(candidate.revision), pods_asked_for(case, candidate)
    guilty = case.snapshot.at_fault(candidate.revision)
    if ready >= needed or guilty is None:
        return None
    trouble = guilty.trouble or "they run, and don't become Ready"
    return reject(case, candidate, Reason.START_TIMEOUT, f"{ready} of {needed} pods Ready after {limit}: {trouble}")


def _pods_awaited_since(case: Case) -> datetime | None:
    """None while a hold keeps pods waiting that have been Ready: the time counts anew once it ends."""
    held = case.candidate is not None and case.candidate.hold is not None
    match case.stage:
        case stages.Starting(unseen_since=None, since=since):
            return since
        case stages.Step(short_since=since):
            return since
        case stages.Promoting(since=since) | stages.TakingOver(since=since):
            return None if held else since
    return None


def candidate_without_pods(case: Case) -> Decision | None:
    """All traffic on a candidate without a Ready pod, while stable has some: back at once, and it starts anew."""
    candidate = case.candidate
    if candidate is None or candidate.weight < 100 or not case.somebody_else:
        return None
    if case.snapshot.ready(candidate.revision):
        return None
    trouble = case.snapshot.trouble(candidate.revision) or "the pods give no reason"
    return move(
        case,
        stages.Starting(since=case.now),
        Reason.STARTING,
        f"version {candidate.model_version} had all traffic and has no pod Ready ({trouble}): stable serves",
        phase=Phase.STARTING,
        look_again=NOW,
    )


def candidate_unseen(case: Case) -> Decision | None:
    """Without usable metrics for blindTimeout the weight goes to 0, without a verdict; the step begins again later."""
    if not isinstance(case.stage, stages.Step | stages.Promoting):
        return None
    stage = sight.noted(case, case.stage)
    if not sight.lost(case, stage):
        return None
    limit = case.snapshot.spec.analysis.blind_timeout
    return move(
        case,
        sight.begun_again(stage),
        Reason.METRICS_UNAVAILABLE,
        f"no usable metrics for {limit}, the candidate's weight is 0 until they are back: {sight.why(case)}",
        phase=Phase.CANARY,
        situation=sight.situation(case),
        look_again=NOW,
    )


def trial_overdue(case: Case) -> Decision | None:
    """A trial without a result by its time-out has failed; the Job's own deadline ends its pod."""
    candidate, stage, limit = case.candidate, case.stage, case.snapshot.spec.trial.timeout
    if candidate is None or not isinstance(stage, stages.Trial) or case.now - stage.since < limit:
        return None
    trial = case.snapshot.trials.get(candidate.revision)
    if trial is not None and (trial.report is not None or trial.fault is facts.Fault.SURROUNDINGS):
        return None
    trouble = (trial.trouble if trial else "") or "its pod gives no reason"
    return reject(case, candidate, Reason.TRIAL_TIMEOUT, f"no trial result after {limit}: {trouble}")


def spec_unreadable(case: Case) -> Decision | None:
    """Nothing begins and nothing advances on a spec that can't be read; what has traffic goes on being guarded by the
    last one that could.
    """
    if not case.snapshot.unreadable:
        return None
    changes = {}
    if case.candidate is not None and isinstance(case.stage, stages.Step | stages.Promoting):
        changes["candidate"] = stages.entered(case.candidate, sight.noted(case, case.stage))
    return decide(
        case,
        Reason.INVALID_SPEC,
        bounds.cut(case.snapshot.unreadable),
        phase=Phase.STALLED,
        situation=Situation.FAILED,
        look_again=case.snapshot.spec.analysis.interval if case.candidate is not None else None,
        **changes,
    )


def pods_asked_for(case: Case, candidate: status.Candidate) -> int:
    """Pods that the candidate's stage needs: all replicas when it takes over, else what the step's weight needs."""
    replicas, steps = case.snapshot.spec.replicas, case.snapshot.steps
    if candidate.promoting:
        return replicas
    step = steps[min(max(candidate.step, 1), len(steps)) - 1]
    return traffic.pods_needed(step.weight, replicas, provider=case.snapshot.provider, shadow=step.shadow)
