"""A rollout that is held: by the pause command, or because evidence was found and the spec says to pause.

A hold is a fact of the candidate, so it outlives the operator and ends with the candidate. It gives no traffic: trial,
pods, guards, evidence and blind time go on as ever, and the rules that would give weight aren't asked.
"""

from __future__ import annotations

import msgspec

from seatrial.api import spec, status
from seatrial.api import stage as stages
from seatrial.api.status import Phase, Reason
from seatrial.rollout import bounds
from seatrial.rollout.decision import NOW, Case, Decision, Situation, decide, move, who

from . import pods, sight, step

OWN_WORDS = frozenset(
    {
        Reason.TRIAL_RUNNING,
        Reason.STARTING,
        Reason.CANARY_PROGRESSING,
        Reason.INSUFFICIENT_TRAFFIC,
        Reason.PROMOTING,
    }
)  # said of any rollout; of a held one, that it is held says more


def pause_requested(case: Case) -> Decision | None:
    """A new pause token holds the rollout under way, from the trial until all traffic has been given."""
    candidate, token = case.candidate, case.snapshot.commands.pause
    if candidate is None or not token or token == case.status.commands.pause or _decided(case):
        return None
    words = f"paused by the pause command ({token})"
    hold = candidate.hold or status.Hold(reason=Reason.PAUSED, message=bounds.cut(words), at=case.now)
    return decide(
        case,
        Reason.PAUSED,
        f"{who(case)}: {words}",
        phase=Phase.PAUSED,
        candidate=msgspec.structs.replace(candidate, hold=hold),
        commands=msgspec.structs.replace(case.status.commands, pause=token),
        look_again=NOW,
    )


def resume_requested(case: Case) -> Decision | None:
    """A new resume token ends a pause, a new promote token as well: it goes on from where it stands.

    After a regression only promote does, and the step begins again: with `/full` as the last one. So it is with answers
    that differ; nothing begins again there.
    """
    candidate, asked, handled = case.candidate, case.snapshot.commands, case.status.commands
    if candidate is None or candidate.hold is None:
        return None
    promoted = bool(asked.promote) and asked.promote != handled.promote
    resumed = bool(asked.resume) and asked.resume != handled.resume
    if candidate.hold.by_command:
        commands = msgspec.structs.replace(handled, resume=asked.resume or handled.resume)
        return _let_go(case, candidate, commands=commands) if promoted or resumed else None
    used = handled if asked.promote.endswith("/full") else msgspec.structs.replace(handled, promote=asked.promote)
    return _let_go(case, candidate, commands=used) if promoted else None


def shifted(case: Case) -> Decision | None:
    """A candidate whose answers are proven to differ more often than they may is held, once, unless it is only to be
    said. It is no regression: another answer may be the better one.
    """
    candidate, look, bound = case.candidate, case.look, case.snapshot.spec.analysis.disagreement
    if candidate is None or look is None or not look.shift or candidate.shift or bound is None:
        return None
    if bound.on_shift is spec.OnShift.REPORT or candidate.hold is not None or _decided(case):
        return None
    return _paused(case, candidate, look.shift)


def answers_shifted(case: Case) -> Decision | None:
    """The same for a candidate whose answers to its own share of the traffic are proven to be distributed otherwise."""
    candidate, moved, bound = case.candidate, case.snapshot.moved, case.snapshot.spec.analysis.answers
    if candidate is None or moved is None or not moved.shifted or candidate.shift:
        return None
    if bound.on_shift is spec.OnShift.REPORT or candidate.hold is not None or _decided(case):
        return None
    return _paused(case, candidate, moved.shifted)


def _paused(case: Case, candidate: status.Candidate, words: str) -> Decision:
    return decide(
        case,
        Reason.ANSWERS_SHIFTED,
        words,
        phase=Phase.PAUSED,
        candidate=msgspec.structs.replace(
            candidate,
            shift=bounds.cut(words, bounds.SHORT),
            hold=status.Hold(reason=Reason.ANSWERS_SHIFTED, message=bounds.cut(words), at=case.now),
        ),
        look_again=NOW,
    )


def held(case: Case) -> Decision | None:
    """Everything is there for the next weight, and it isn't given. What the rollout waits for else, others say."""
    candidate, stage = case.candidate, case.stage
    if candidate is None or candidate.hold is None or _decided(case) or pods.short(case, candidate):
        return None
    if candidate.hold.harmless and pods.stable_has_gone(case):
        return None
    match stage:
        case stages.Starting():
            stage = msgspec.structs.replace(stage, unseen_since=stage.unseen_since or case.now)
        case stages.Step() | stages.Promoting():
            stage = sight.noted(case, stage)
            if sight.blind(case) and candidate.hold.harmless:
                return step.unseen(case, stage)
            if isinstance(stage, stages.Step):
                stage = msgspec.structs.replace(stage, short_since=None)
        case stages.TakingOver():
            pass
        case _:
            return None
    return move(
        case,
        stage,
        candidate.hold.reason,
        f"{who(case)}: waits",
        phase=Phase.PAUSED,
        look_again=case.snapshot.spec.analysis.interval,
    )


def shown(case: Case, decision: Decision) -> Decision:
    """The decision, as people read it while the candidate is held: why, and what ends it. One that goes on all the
    same, because stable has gone, says so.
    """
    hold = decision.candidate.hold if decision.candidate is not None else None
    if hold is None or decision.situation is not Situation.PROGRESSING:
        return decision
    if hold.harmless and pods.stable_has_gone(case):
        return msgspec.structs.replace(decision, message=f"{decision.message}; it goes on though {hold.message}")
    reason = decision.reason if decision.reason not in OWN_WORDS else hold.reason
    message = f"{decision.message}; {hold.message}: {_ends(hold)}"
    return msgspec.structs.replace(decision, phase=Phase.PAUSED, reason=reason, message=message)


def _ends(hold: status.Hold) -> str:
    if hold.by_command:
        return "annotate seatrial.dev/resume to go on"
    if hold.harmless:
        return "annotate seatrial.dev/promote if the new answers are the better ones, seatrial.dev/abort to reject it"
    return (
        "stable has all traffic, its pods stay; annotate seatrial.dev/promote to go on at your own risk, "
        "seatrial.dev/abort to reject it, or change the spec"
    )


def _decided(case: Case) -> bool:
    """All traffic has been given without a step for it: what is left is a name."""
    return isinstance(case.stage, stages.Promoting | stages.TakingOver) and case.stage.weight == 100


def _let_go(case: Case, candidate: status.Candidate, *, commands: status.Commands) -> Decision:
    """Times that a deadline counts from begin anew."""
    free = msgspec.structs.replace(candidate, hold=None)
    stage = case.stage
    if isinstance(stage, stages.Starting | stages.Promoting | stages.TakingOver):
        free = stages.entered(free, msgspec.structs.replace(stage, since=case.now))
    return decide(
        case,
        Reason.STARTING if isinstance(stage, stages.Starting) else Reason.CANARY_PROGRESSING,
        f"{who(case)}: goes on",
        phase=Phase.CANARY,
        candidate=free,
        commands=commands,
        look_again=NOW,
    )
