"""Starting: pods asked for, no step yet. No weight before readiness, none before its metrics arrive, and none while a
third version has pods that the shared selector would catch.
"""

from __future__ import annotations

import msgspec

from seatrial.api import stage as stages
from seatrial.api.status import Phase, Reason
from seatrial.rollout import looks
from seatrial.rollout.decision import NOW, Case, Decision, move, who

from . import pods, sight, step


def starting(case: Case) -> Decision | None:
    """First weight once everything is there that it needs."""
    candidate, stage = case.candidate, case.stage
    if candidate is None or not isinstance(stage, stages.Starting):
        return None
    if pods.short(case, candidate):
        if stage.unseen_since is not None:  # they were Ready before
            stage = stages.Starting(since=case.now)
        return pods.waiting(case, candidate, stage, since=stage.since, phase=Phase.STARTING)
    if pods.stable_has_gone(case):
        return pods.take_over(case)
    third = pods.third_version_has_pods(case, candidate)
    if case.status.previous is not None or third:
        return move(
            case,
            stage,
            Reason.STARTING,
            f"{who(case)}: waits until the version before stable has left",
            phase=Phase.STARTING,
            previous=None,
            look_again=case.snapshot.spec.analysis.interval if third else NOW,
        )
    if sight.blind(case):
        return _unseen(case, stage)
    if pods.stable_is_short(case):
        return pods.hold(case, stage, Reason.STARTING, pods.STABLE_FIRST, phase=Phase.STARTING)
    return step.give_weight(case, number=1, windows=1)


def _unseen(case: Case, stage: stages.Starting) -> Decision:
    """A new pod is scraped some seconds after it is Ready; longer silence, or a Prometheus that fails, has a name."""
    since = stage.unseen_since or case.now
    look = case.look
    failing = look is not None and look.outcome is looks.Outcome.ERROR
    late = case.now - since >= case.snapshot.spec.analysis.blind_timeout
    return move(
        case,
        msgspec.structs.replace(stage, unseen_since=since),
        Reason.METRICS_UNAVAILABLE if failing or late else Reason.STARTING,
        f"{who(case)}: pods Ready, waits for their metrics: {look.message if look else 'no look yet'}",
        phase=Phase.STARTING,
        situation=sight.situation(case),
        look_again=case.snapshot.spec.analysis.interval,
    )
