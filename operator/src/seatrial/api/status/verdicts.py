"""What was decided of revisions: by evidence, and by commands."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from .base import Base, Digest, ModelVersion, Revision, Short, Text
from .words import Reason


class VerdictKind(enum.StrEnum):
    PROMOTED = "Promoted"
    REJECTED = "Rejected"
    SUPERSEDED = "Superseded"
    RETRIED = "Retried"


class Verdict(Base, frozen=True, kw_only=True):
    """What was decided of a revision. The standing that follows from it is kept on the revision's own record."""

    revision: Revision
    model_version: ModelVersion
    sha256: Digest
    verdict: Annotated[VerdictKind, Meta(description="Promoted, Rejected, Superseded or Retried.")]
    reason: Annotated[Reason, Meta(description="Why, in one word.")]
    message: Annotated[Text, Meta(description="Why, in one sentence.")] = ""
    at: Annotated[datetime, Meta(description="When it was decided.")]


class Rollback(Base, frozen=True, kw_only=True):
    """The newest rollback: why, and how long it took until the candidate had no traffic."""

    source: Annotated[Short, Meta(description="Revision that lost its traffic.")] = msgspec.field(name="from")
    target: Annotated[Short, Meta(description="Revision that has it now.")] = msgspec.field(name="to")
    reason: Annotated[Reason, Meta(description="Why, in one word.")]
    message: Annotated[Text, Meta(description="Why, in one sentence.")] = ""
    breach_at: Annotated[datetime, Meta(description="First sample at which the evidence passed the bound.")]
    zero_weight_at: Annotated[datetime, Meta(description="When the endpoints no longer held the candidate.")] | None = (
        None
    )

    @property
    def seconds(self) -> float | None:
        """From the visible breach until there was no traffic; None while there still is some."""
        return (self.zero_weight_at - self.breach_at).total_seconds() if self.zero_weight_at else None


class SetBack(Base, frozen=True, kw_only=True):
    """By the rollback-to command: which revision serves in place of the one that the spec asks for."""

    revision: Annotated[Short, Meta(description="Revision that the command named.")]
    instead_of: Annotated[Short, Meta(description="Revision that the spec asks for; as long as it does, this holds.")]
    at: Annotated[datetime, Meta(description="When it was asked for.")]


class Commands(Base, frozen=True, kw_only=True):
    """Tokens of the command annotations that were handled; a token is handled once."""

    promote: Annotated[Short, Meta(description="Last handled value of the annotation seatrial.dev/promote.")] = ""
    abort: Annotated[Short, Meta(description="Last handled value of the annotation seatrial.dev/abort.")] = ""
    retry: Annotated[Short, Meta(description="Last handled value of the annotation seatrial.dev/retry.")] = ""
    pause: Annotated[Short, Meta(description="Last handled value of the annotation seatrial.dev/pause.")] = ""
    resume: Annotated[Short, Meta(description="Last handled value of the annotation seatrial.dev/resume.")] = ""
    rollback_to: Annotated[
        Short, Meta(description="Last handled value of the annotation seatrial.dev/rollback-to.")
    ] = ""
    refresh_image: Annotated[
        Short, Meta(description="Last handled value of the annotation seatrial.dev/refresh-image.")
    ] = ""
    accept_drift: Annotated[
        Short, Meta(description="Last handled value of the annotation seatrial.dev/accept-drift.")
    ] = ""
    retrain: Annotated[Short, Meta(description="Last handled value of the annotation seatrial.dev/retrain.")] = ""
    adopt: Annotated[Short, Meta(description="Last handled value of the annotation seatrial.dev/adopt.")] = ""
    unfollow: Annotated[Short, Meta(description="Last handled value of the annotation seatrial.dev/unfollow.")] = ""
