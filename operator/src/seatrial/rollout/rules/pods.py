"""Waiting for pods, of the candidate or of stable: what is said meanwhile, and whose trouble it is."""

from __future__ import annotations

from datetime import datetime

from seatrial.api import stage as stages
from seatrial.api import status
from seatrial.api.status import Phase, Reason
from seatrial.rollout.decision import NOW, Case, Decision, Situation, move, who

from .guards import pods_asked_for

STABLE_FIRST = "stable pods are missing; the candidate's weight waits"


def short(case: Case, candidate: status.Candidate) -> bool:
    """The candidate has fewer pods Ready than its stage needs."""
    return case.snapshot.ready(candidate.revision) < pods_asked_for(case, candidate)


def waiting(case: Case, candidate: status.Candidate, stage: stages.Stage, *, since: datetime, phase: Phase) -> Decision:
    """Looked at again at the deadline even if nothing happens until then.

    After it the version is rejected if it is at fault (a guard); else the cluster's trouble is said, and waited for.
    """
    limit = case.snapshot.spec.rollout.start_timeout
    refused, trouble = case.snapshot.refusal(candidate.revision), case.snapshot.trouble(candidate.revision)
    late = case.now - since >= limit
    stalled = bool(refused) or late
    ready, needed = case.snapshot.ready(candidate.revision), pods_asked_for(case, candidate)
    message = f"{who(case)}: {ready} of {needed} pods Ready"
    again = case.snapshot.spec.analysis.interval if late else max(since + limit - case.now, NOW)
    if candidate.weight:
        again = min(again, case.snapshot.spec.analysis.interval)
    return move(
        case,
        stage,
        Reason.CHILD_REFUSED if refused else Reason.INSUFFICIENT_CAPACITY if late else Reason.STARTING,
        message + (f": {trouble}" if trouble else ""),
        phase=phase,
        situation=Situation.FAILED if stalled else Situation.PROGRESSING,
        look_again=again,
    )


def stable_is_short(case: Case) -> bool:
    return case.stable is not None and case.snapshot.ready(case.stable.revision) < case.snapshot.spec.replicas


def stable_has_gone(case: Case) -> bool:
    """For as long as pods may take to start: nothing to compare with, or to protect."""
    stable = case.stable
    if stable is None or stable.missing_since is None or case.somebody_else:
        return False  # the status may be older than the pods: nobody wrote while the operator was away
    return case.now - stable.missing_since >= case.snapshot.spec.rollout.start_timeout


def take_over(case: Case) -> Decision:
    """As in a first installation: full capacity, then all traffic."""
    weight = case.candidate.weight if case.candidate is not None else 0
    return move(
        case,
        stages.TakingOver(since=case.now, weight=weight, weight_since=case.now if weight else None),
        Reason.PROMOTING,
        f"{who(case)}: stable has had no pod Ready for {case.snapshot.spec.rollout.start_timeout}, so it takes over",
        phase=Phase.PROMOTING,
        look_again=NOW,
    )


def third_version_has_pods(case: Case, candidate: status.Candidate) -> bool:
    known = {candidate.revision, case.stable.revision if case.stable else ""}
    return any(pod.revision not in known and pod.alive for pod in case.snapshot.pods)


def hold(case: Case, stage: stages.Stage, reason: Reason, message: str, *, phase: Phase = Phase.CANARY) -> Decision:
    return move(
        case, stage, reason, f"{who(case)}: {message}", phase=phase, look_again=case.snapshot.spec.analysis.interval
    )
