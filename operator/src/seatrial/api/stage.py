"""Where a candidate stands: one of five stages, each with just the facts that it has.

    Trial -> Starting -> Step 1 .. n -> Promoting -> (stable)
                 \\-> TakingOver -> (stable)        nothing to compare with: first install, return, stable gone

Status keeps them as the flat fields of `Candidate`, readable and the same in every release; here they are parsed, once,
and written back. Rules see stages only, so that no field means two things.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import msgspec

from .status import Candidate


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """Immutable and keyword-only. Times are the API server's."""


class Trial(Base, frozen=True, kw_only=True):
    """Its Job was asked for at `since`; `attempt` counts from 1, another one is made where the surroundings failed."""

    since: datetime
    attempt: int = 1


class Starting(Base, frozen=True, kw_only=True):
    """Its pods were asked for at `since`. `unseen_since`: they have been Ready, and only their metrics are missing."""

    since: datetime
    unseen_since: datetime | None = None


class Step(Base, frozen=True, kw_only=True):
    """In a step of the canary.

    `since` is when weight and shadow were asked for and the evidence of the step begins; None while both are 0 for
    want of sight. `short_since`: fewer pods are Ready than the step needs. `windows`: how often evidence was begun in
    this step, 0 before its weight was first given.
    """

    number: int
    weight: int
    shadow: int = 0
    since: datetime | None = None
    first_request_at: datetime | None = None
    short_since: datetime | None = None
    blind_since: datetime | None = None
    waiting_for_approval: bool = False
    windows: int = 1


class Promoting(Base, frozen=True, kw_only=True):
    """All steps passed: all replicas are made from `since` on, then all traffic moves."""

    number: int
    weight: int
    shadow: int = 0
    since: datetime
    weight_since: datetime | None = None
    first_request_at: datetime | None = None
    blind_since: datetime | None = None
    windows: int = 1


class TakingOver(Base, frozen=True, kw_only=True):
    """All replicas, then all traffic, without a comparison: there is nobody, or it was stable before."""

    since: datetime
    weight: int = 0
    weight_since: datetime | None = None


Stage: TypeAlias = Trial | Starting | Step | Promoting | TakingOver


def told_by(candidate: Candidate) -> bool:
    """The fields tell a stage. They always do unless somebody edited status."""
    return bool(candidate.step or candidate.started_at or candidate.trial_started_at)


def of(candidate: Candidate) -> Stage:
    """The stage that the fields tell.

    Raises:
        ValueError: they tell none.
    """
    if candidate.promoting and candidate.started_at is not None:
        return _last(candidate, candidate.started_at)
    if candidate.step:
        return Step(
            number=candidate.step,
            weight=candidate.weight,
            shadow=candidate.shadow,
            since=candidate.weight_since,
            first_request_at=candidate.step_started_at,
            short_since=candidate.started_at,
            blind_since=candidate.blind_since,
            waiting_for_approval=candidate.waiting_for_approval,
            windows=candidate.windows,
        )
    if candidate.started_at is not None:
        return Starting(since=candidate.started_at, unseen_since=candidate.blind_since)
    if candidate.trial_started_at is None:
        raise ValueError(f"candidate {candidate.revision} is in no stage")
    return Trial(since=candidate.trial_started_at, attempt=candidate.trial_attempt)


def _last(candidate: Candidate, since: datetime) -> Stage:
    if not candidate.step:
        return TakingOver(since=since, weight=candidate.weight, weight_since=candidate.weight_since)
    return Promoting(
        number=candidate.step,
        weight=candidate.weight,
        shadow=candidate.shadow,
        since=since,
        weight_since=candidate.weight_since,
        first_request_at=candidate.step_started_at,
        blind_since=candidate.blind_since,
        windows=candidate.windows,
    )


def entered(candidate: Candidate, stage: Stage) -> Candidate:
    """The candidate in that stage; what the stage doesn't have is cleared, what is known of the revision stays."""
    return msgspec.structs.replace(candidate, **{**_CLEARED, **_fields(stage)})


_CLEARED = {
    "started_at": None,
    "step": 0,
    "weight": 0,
    "shadow": 0,
    "weight_since": None,
    "step_started_at": None,
    "blind_since": None,
    "waiting_for_approval": False,
    "promoting": False,
    "windows": 1,
}


def _fields(stage: Stage) -> dict[str, object]:
    match stage:
        case Trial():
            return {"trial_started_at": stage.since, "trial_attempt": stage.attempt}
        case Starting():
            return {"started_at": stage.since, "blind_since": stage.unseen_since}
        case Step():
            return {
                "step": stage.number,
                "weight": stage.weight,
                "shadow": stage.shadow,
                "weight_since": stage.since,
                "step_started_at": stage.first_request_at,
                "started_at": stage.short_since,
                "blind_since": stage.blind_since,
                "waiting_for_approval": stage.waiting_for_approval,
                "windows": stage.windows,
            }
        case Promoting():
            return {
                "step": stage.number,
                "weight": stage.weight,
                "shadow": stage.shadow,
                "weight_since": stage.weight_since,
                "step_started_at": stage.first_request_at,
                "started_at": stage.since,
                "blind_since": stage.blind_since,
                "promoting": True,
                "windows": stage.windows,
            }
        case TakingOver():
            return {
                "started_at": stage.since,
                "weight": stage.weight,
                "weight_since": stage.weight_since,
                "promoting": True,
            }
