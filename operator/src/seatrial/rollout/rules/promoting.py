"""Promoting and taking over: full capacity first, then all traffic, then the name. The pods that were analysed become
stable in place.
"""

from __future__ import annotations

import msgspec

from seatrial.api import stage as stages
from seatrial.api import status
from seatrial.api.status import Phase, Reason, VerdictKind
from seatrial.rollout import traffic
from seatrial.rollout.decision import NOW, Case, Decision, Situation, decide, move, verdict_on, who

from . import pods, sight, step, wishes


def promoting(case: Case) -> Decision | None:
    """All steps passed. What was proven may still be refuted, until the name has moved."""
    candidate, stage = case.candidate, case.stage
    if candidate is None or not isinstance(stage, stages.Promoting):
        return None
    if stage.weight == 100:
        return _named_once_in_force(case, candidate)
    stage = sight.noted(case, stage)
    if pods.short(case, candidate):
        return pods.waiting(case, candidate, stage, since=stage.since, phase=Phase.PROMOTING)
    if pods.stable_has_gone(case):
        return pods.take_over(case)
    if case.look is None or case.look.blind:
        return step.unseen(case, stage)
    if case.look.suspicious:
        return pods.hold(case, stage, Reason(case.look.reason), case.look.message, phase=Phase.PROMOTING)
    return _takes_all(case, msgspec.structs.replace(stage, weight=100, shadow=0, weight_since=case.now))


def taking_over(case: Case) -> Decision | None:
    """Nobody to compare with. A stable version that comes back before the traffic has moved is compared with again."""
    candidate, stage = case.candidate, case.stage
    if candidate is None or not isinstance(stage, stages.TakingOver):
        return None
    if stage.weight == 100:
        return _named_once_in_force(case, candidate)
    if _stable_is_back(case, candidate):
        return move(
            case,
            stages.Starting(since=case.now),
            Reason.STARTING,
            f"{who(case)}: stable has pods Ready again, so it is compared first",
            phase=Phase.STARTING,
            look_again=NOW,
        )
    if pods.short(case, candidate):
        return pods.waiting(case, candidate, stage, since=stage.since, phase=Phase.PROMOTING)
    return _takes_all(case, msgspec.structs.replace(stage, weight=100, weight_since=case.now))


def _stable_is_back(case: Case, candidate: status.Candidate) -> bool:
    excused = wishes.nobody_to_compare_with(case) or wishes.trusted(case, candidate.revision)
    return not excused and case.somebody_else


def _takes_all(case: Case, stage: stages.Promoting | stages.TakingOver) -> Decision:
    return move(case, stage, Reason.PROMOTING, f"{who(case)}: takes all traffic", phase=Phase.PROMOTING, look_again=NOW)


def _named_once_in_force(case: Case, candidate: status.Candidate) -> Decision:
    if not traffic.in_force(case.snapshot, case.status):
        routed = traffic.routed(case.snapshot, case.status)
        why = f": {routed[1]}" if routed is not None and not routed[0] else ""
        return decide(
            case,
            Reason.PROMOTING,
            f"{who(case)}: waits for the traffic to follow{why}",
            phase=Phase.PROMOTING,
            look_again=case.snapshot.spec.analysis.interval,
        )
    return _become_stable(case, candidate)


def _become_stable(case: Case, candidate: status.Candidate) -> Decision:
    old, soak = case.stable, case.snapshot.spec.rollout.soak
    previous = rollback = None
    if old is not None and wishes.set_aside(case, old):
        words = f"set aside by the rollback-to command for version {candidate.model_version}"
        rollback = status.Rollback(
            source=old.revision,
            target=candidate.revision,
            reason=Reason.ROLLED_BACK,
            message=words,
            breach_at=case.status.set_back.at if case.status.set_back else case.now,
        )
    elif old is not None and old.breach is None and soak:
        previous = status.Previous(**old.identity(), since=old.since, warm_until=case.now + soak)
    message = f"version {candidate.model_version} ({candidate.revision}) is stable now"
    return decide(
        case,
        Reason.PROMOTED,
        message,
        phase=Phase.SOAKING if previous else Phase.STABLE,
        situation=Situation.READY,
        stable=status.Stable(**candidate.identity(), since=case.now, first=old is None),
        previous=previous,
        candidate=None,
        verdict=verdict_on(case, candidate, VerdictKind.PROMOTED, reason=Reason.PROMOTED, message=message),
        rollback=rollback,
        look_again=NOW,
    )
