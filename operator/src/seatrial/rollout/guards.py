"""Rules asked first, in every phase, before anything that can fail: regressions, commands, crash loops, deadlines."""

from __future__ import annotations

import msgspec

from seatrial.api import status
from seatrial.api.status import Phase, Reason

from . import bounds, looking, traffic
from .decision import NOW, Case, Decision, Situation, decide, reject, verdict_on


def candidate_regressed(case: Case) -> Decision | None:
    """A candidate proven worse than stable, or too bad in itself, loses its traffic before anything else happens."""
    candidate, look = case.candidate, case.look
    if candidate is None or candidate.weight == 0 or look is None or look.soak:
        return None
    if look.outcome is not looking.Outcome.FAIL:
        return None
    return reject(case, candidate, Reason(look.reason), look.message)


def promoted_regressed(case: Case) -> Decision | None:
    """During the soak the way back is one flip: the old version is warm and takes all traffic again."""
    look = case.look
    if look is None or not look.soak or look.outcome is not looking.Outcome.FAIL:
        return None
    return _flip_back(case, Reason.REGRESSED_AFTER_PROMOTION, look.message)


def abort_requested(case: Case) -> Decision | None:
    """The abort command ends the rollout under way, or the soak; the version counts as rejected."""
    token = case.snapshot.commands.abort
    if not token or token == case.status.commands.abort:
        return None
    commands = msgspec.structs.replace(case.status.commands, abort=token)
    message = f"stopped by the abort command ({token})"
    if case.candidate is not None:
        return reject(case, case.candidate, Reason.ABORTED, message, commands=commands)
    if case.warm is not None:
        return _flip_back(case, Reason.ABORTED, message, commands=commands)
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
    said = _crash(case, stable.revision) if stable is not None and case.warm is not None else None
    if said is None:
        return None
    return _flip_back(case, Reason.CRASH_LOOP, f"a pod of the promoted version keeps crashing: {said}")


def _crash(case: Case, revision: str) -> str | None:
    """What a pod says that starts again and again; None when there is none."""
    own = (pod for pod in case.snapshot.pods if pod.revision == revision and not pod.leaving)
    return next((pod.trouble for pod in own if pod.crash_looping), None)


def candidate_never_became_ready(case: Case) -> Decision | None:
    """Pods asked for must be Ready by startTimeout, whatever keeps them: image, scheduling, quota, the model.

    Pods that were Ready and only waited for their metrics have kept it; the clock begins anew when they vanish.
    """
    candidate, limit = case.candidate, case.snapshot.spec.rollout.start_timeout
    if candidate is None or candidate.started_at is None or case.now - candidate.started_at < limit:
        return None
    ready, needed = case.snapshot.ready(candidate.revision), pods_asked_for(case, candidate)
    if ready >= needed or (candidate.blind_since is not None and not candidate.step):
        return None
    trouble = case.snapshot.trouble(candidate.revision) or "the pods give no reason"
    return reject(case, candidate, Reason.START_TIMEOUT, f"{ready} of {needed} pods Ready after {limit}: {trouble}")


def candidate_without_pods(case: Case) -> Decision | None:
    """All traffic on a candidate without a Ready pod, while stable has some: back at once, and it starts anew."""
    candidate, stable = case.candidate, case.stable
    if candidate is None or stable is None or candidate.weight < 100:
        return None
    if case.snapshot.ready(candidate.revision) or not case.snapshot.ready(stable.revision):
        return None
    trouble = case.snapshot.trouble(candidate.revision) or "the pods give no reason"
    return decide(
        case,
        Reason.STARTING,
        f"version {candidate.model_version} had all traffic and has no pod Ready ({trouble}): stable serves",
        phase=Phase.STARTING,
        candidate=msgspec.structs.replace(
            candidate,
            step=0,
            weight=0,
            weight_since=None,
            step_started_at=None,
            started_at=case.now,
            blind_since=None,
            promoting=False,
            waiting_for_approval=False,
        ),
        look_again=NOW,
    )


def trial_overdue(case: Case) -> Decision | None:
    """A trial without a result by its time-out has failed; the Job's own deadline ends its pod."""
    candidate, limit = case.candidate, case.snapshot.spec.trial.timeout
    if candidate is None or candidate.started_at is not None or candidate.trial_started_at is None:
        return None
    if case.now - candidate.trial_started_at < limit:
        return None
    trial = case.snapshot.trials.get(candidate.revision)
    if trial is not None and trial.report is not None:
        return None
    trouble = (trial.trouble if trial else "") or "its pod gives no reason"
    return reject(case, candidate, Reason.TRIAL_TIMEOUT, f"no trial result after {limit}: {trouble}")


def pods_asked_for(case: Case, candidate: status.Candidate) -> int:
    """Pods that the candidate's stage needs: all replicas when it takes over, else what the step's weight needs."""
    wish = case.snapshot.spec
    if candidate.promoting:
        return wish.replicas
    step = wish.rollout.steps[min(max(candidate.step, 1), len(wish.rollout.steps)) - 1]
    return traffic.pods_needed(step.weight, wish.replicas)


def _flip_back(case: Case, reason: Reason, message: str, *, commands: status.Commands | None = None) -> Decision | None:
    stable, previous = case.stable, case.warm
    if stable is None or previous is None:
        return None
    warm, bad = case.snapshot.ready(previous.revision), case.snapshot.ready(stable.revision)
    if warm < (case.snapshot.spec.replicas if bad else 1):
        return None  # never a weight above ready capacity; the pods are asked for and wake us when they are Ready
    breach = (case.look.breach_at if case.look else None) or case.now
    return decide(
        case,
        reason,
        message,
        phase=Phase.ROLLED_BACK,
        situation=Situation.FAILED,
        stable=status.Stable(
            **previous.identity(),
            since=case.now,
        ),
        previous=None,
        candidate=None if case.candidate and case.candidate.revision == previous.revision else case.candidate,
        commands=commands or case.status.commands,
        verdict=verdict_on(case, stable, status.VerdictKind.REJECTED, reason=reason, message=message),
        rollback=status.Rollback(
            source=stable.revision,
            target=previous.revision,
            reason=reason,
            message=bounds.cut(message),
            breach_at=breach,
        ),
        look_again=NOW,
    )
