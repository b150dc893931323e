"""What a rule answers: the facts of status as they shall be, why, and when to look again."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from seatrial.api.status import (
    Candidate,
    Commands,
    Phase,
    Previous,
    Reason,
    Rollback,
    Stable,
    Status,
    TrialStatus,
    Verdict,
    VerdictKind,
)

from . import bounds
from .facts import Fact, Snapshot
from .looking import Look

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
    def stable(self) -> Stable | None:
        return self.snapshot.status.stable

    @property
    def warm(self) -> Previous | None:
        """The version before stable, as long as the soak lasts."""
        previous = self.snapshot.status.previous
        return previous if previous is not None and self.now < previous.warm_until else None

    @property
    def wanted(self) -> str:
        return self.snapshot.wanted.revision


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
    trial: TrialStatus | None
    verdict: Verdict | None = None
    forgiven: str = ""  # revision whose rejection is forgotten
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
            "trial": now.trial,
            **changes,
        }
    )


def who(case: Case) -> str:
    """The wanted version, as messages call it."""
    return f"version {case.snapshot.wanted.content.model_version} ({case.wanted})"


def verdict_on(case: Case, who: Candidate | Stable, kind: VerdictKind, *, reason: Reason, message: str) -> Verdict:
    return Verdict(
        revision=who.revision,
        model_version=who.model_version,
        sha256=who.sha256,
        verdict=kind,
        reason=reason,
        message=bounds.cut(message),
        at=case.now,
    )


def reject(case: Case, candidate: Candidate, reason: Reason, message: str, **changes: Any) -> Decision:
    """The candidate loses its traffic and gets no second chance by itself. Stable is untouched."""
    breach = (case.look.breach_at if case.look else None) or case.now
    rollback = None
    if candidate.weight and case.stable:
        rollback = Rollback(
            source=candidate.revision,
            target=case.stable.revision,
            reason=reason,
            message=bounds.cut(message),
            breach_at=breach,
        )
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
