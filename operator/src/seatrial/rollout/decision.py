"""What a rule answers: the facts of status as they shall be, why, and when to look again."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from seatrial.api import stage as stages
from seatrial.api.status import (
    Breach,
    Candidate,
    Commands,
    Phase,
    Previous,
    Reason,
    Rollback,
    SetBack,
    Stable,
    Status,
    TrialStatus,
    Verdict,
    VerdictKind,
)

from . import bounds, looking
from .facts import Fact, Snapshot
from .looks import Look

NOW = timedelta(0)


class Situation(enum.StrEnum):
    """The four that a user tells apart, see the condition table of the API."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    READY = "Ready"
    FAILED = "Failed"


class Case(Fact, frozen=True, kw_only=True):
    """What a rule is asked: the snapshot, the API server's time, the evidence where traffic is being judged."""

    snapshot: Snapshot
    now: datetime
    look: Look | None = None

    @property
    def status(self) -> Status:
        return self.snapshot.status

    @property
    def candidate(self) -> Candidate | None:
        return self.snapshot.status.candidate

    @property
    def stage(self) -> stages.Stage | None:
        """Where the candidate stands; None without one."""
        return stages.of(self.candidate) if self.candidate is not None else None

    @property
    def stable(self) -> Stable | None:
        return self.snapshot.status.stable

    @property
    def breach(self) -> Breach | None:
        """Proof against stable, found in its soak."""
        return self.stable.breach if self.stable is not None else None

    @property
    def warm(self) -> Previous | None:
        """The version before stable: as long as the soak lasts, and as long as it is needed for the way back. One that
        can't be made again, because somebody has deleted its record and its pods, is no way back.
        """
        stable, previous = self.stable, self.status.previous
        if stable is None or previous is None:
            return None
        until = stable.since + self.snapshot.spec.rollout.soak
        kept = self.now < until if stable.breach is None else self.snapshot.makeable(previous.revision)
        if not kept:
            return None
        return msgspec.structs.replace(previous, warm_until=until)

    @property
    def soaking(self) -> bool:
        """Stable is watched: a promoted version beside the one before it, a first one by its absolute guards."""
        return self.warm is not None or looking.first_soak(self.snapshot, self.now)

    @property
    def wanted(self) -> str:
        return self.snapshot.wanted.revision

    @property
    def somebody_else(self) -> bool:
        """Stable has a pod Ready that could answer in the candidate's place."""
        return self.stable is not None and self.snapshot.ready(self.stable.revision) > 0


class Decision(Fact, frozen=True, kw_only=True):
    """Facts of status after this pass. Children and traffic follow from them alone."""

    situation: Situation
    phase: Phase
    reason: Reason
    message: str
    stable: Stable | None
    previous: Previous | None
    candidate: Candidate | None
    commands: Commands
    set_back: SetBack | None
    trial: TrialStatus | None
    verdict: Verdict | None = None
    rollback: Rollback | None = None
    look_again: timedelta | None = None


Rule = Callable[[Case], Decision | None]


def decide(case: Case, reason: Reason, message: str, *, phase: Phase, **changes: Any) -> Decision:
    """A decision that changes only what it names; progressing unless said otherwise."""
    now = case.status
    return Decision(
        **{
            "situation": Situation.PROGRESSING,
            "phase": phase,
            "reason": reason,
            "message": message,
            "stable": now.stable,
            "previous": case.warm,
            "candidate": now.candidate,
            "commands": now.commands,
            "set_back": now.set_back,
            "trial": now.trial,
            **changes,
        }
    )


def move(case: Case, stage: stages.Stage, reason: Reason, message: str, *, phase: Phase, **changes: Any) -> Decision:
    """A decision that puts the candidate into a stage, or leaves it in its own with other facts."""
    if case.candidate is None:
        raise ValueError("there is no candidate to move")
    candidate = stages.entered(case.candidate, stage)
    return decide(case, reason, message, phase=phase, candidate=candidate, **changes)


def who(case: Case) -> str:
    """The wanted version, as messages call it."""
    return f"version {case.snapshot.wanted.content.model_version} ({case.wanted})"


def verdict_on(case: Case, who: Candidate | Stable, kind: VerdictKind, *, reason: Reason, message: str) -> Verdict:
    """Later than whatever was decided of the revision before, whichever API server's clock that was."""
    before = case.snapshot.standing(who.revision)
    return Verdict(
        revision=who.revision,
        model_version=who.model_version,
        sha256=who.sha256,
        verdict=kind,
        reason=reason,
        message=bounds.cut(message),
        at=max(case.now, before.at) if before is not None else case.now,
    )


def back_to_stable(case: Case, candidate: Candidate, reason: Reason, message: str) -> Rollback | None:
    """What is said of a candidate that loses its traffic to stable; None where it has none."""
    if not candidate.weight or case.stable is None:
        return None
    return Rollback(
        source=candidate.revision,
        target=case.stable.revision,
        reason=reason,
        message=bounds.cut(message),
        breach_at=(case.look.breach_at if case.look else None) or case.now,
    )


def reject(case: Case, candidate: Candidate, reason: Reason, message: str, **changes: Any) -> Decision:
    """The candidate loses its traffic and gets no second chance by itself. Stable is untouched."""
    rollback = back_to_stable(case, candidate, reason, message)
    return decide(
        case,
        reason,
        message,
        phase=Phase.ROLLED_BACK if rollback else Phase.STALLED,
        situation=Situation.FAILED,
        candidate=None,
        verdict=verdict_on(case, candidate, VerdictKind.REJECTED, reason=reason, message=message),
        rollback=rollback,
        look_again=NOW,
        **changes,
    )
