"""`status.trained` and `status.retraining`: which trained version takes the place of spec.model, what runs came to.

Facts as in `status`, of which they are parts; bounded, and free of anything that ticks by itself.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

RUNS_KEPT = 10
STARTS_KEPT = 100  # as many as spec.retraining.maxRuns may be
CAUSES_KEPT = 5

Short = Annotated[str, Meta(max_length=256)]
Text = Annotated[str, Meta(max_length=1024)]
Uri = Annotated[str, Meta(max_length=2048)]


class Base(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Immutable, camelCase on the wire, defaults left out."""


class TrainedModel(Base, frozen=True, kw_only=True):
    """A version that a run has made."""

    uri: Annotated[Text, Meta(description="Where its bytes are.")]
    sha256: Annotated[Short, Meta(description="SHA-256 of its bytes.")]
    version: Annotated[Short, Meta(description="Its label.")]
    run: Annotated[int, Meta(description="Number of the run.", ge=0)]
    at: Annotated[datetime, Meta(description="When the run said so.")]
    approved: Annotated[bool, Meta(description="By the adopt command.")] = False


class TrainedBase(Base, frozen=True, kw_only=True):
    """The spec.model for which trained versions count. Any other one drops them at once."""

    uri: Annotated[Uri, Meta(description="Its uri.")]
    sha256: Annotated[Short, Meta(description="Its sha256.")]
    version: Annotated[Short, Meta(description="Its version, where it has one.")] = ""
    name: Annotated[Short, Meta(description="Its name, where it has one.")] = ""
    secret: Annotated[Short, Meta(description="Its secretRef, where it has one.")] = ""


class Trained(Base, frozen=True, kw_only=True):
    """Versions of runs in place of spec.model, as long as that stays what it is."""

    base: TrainedBase
    current: Annotated[TrainedModel | None, Meta(description="Promoted, and its soak is over.")] = None
    next: Annotated[TrainedModel | None, Meta(description="On its way: trial, canary, soak.")] = None
    offered: Annotated[TrainedModel | None, Meta(description="Waits to be adopted.")] = None


class Trigger(enum.StrEnum):
    """What started a run."""

    QUALITY = "Quality"
    DRIFT = "Drift"
    AGE = "Age"
    COMMAND = "Command"


class RunOutcome(enum.StrEnum):
    """What became of a run."""

    RUNNING = "Running"
    TRAINED = "Trained"
    SKIPPED = "Skipped"
    FAILED = "Failed"
    REFUSED = "Refused"
    ROLLED_BACK = "RolledBack"
    PROMOTED = "Promoted"
    NOT_CURED = "NotCured"
    SUPERSEDED = "Superseded"


class Run(Base, frozen=True, kw_only=True):
    """One run of the training Job."""

    number: Annotated[int, Meta(description="Part of its Job's name.", ge=1)]
    trigger: Annotated[Trigger, Meta(description="Quality, Drift, Age or Command.")]
    cause: Annotated[
        tuple[Short, ...], Meta(description="What the alarm was about, such as columns.", max_length=CAUSES_KEPT)
    ] = ()
    base: Annotated[Short, Meta(description="Digest of the spec.model that it began with.")] = ""
    job: Annotated[Short, Meta(description="Its Job, once that was seen.")] = ""
    started_at: Annotated[datetime, Meta(description="When it was decided to start it.")]
    finished_at: Annotated[datetime, Meta(description="When its result was read, or it was given up.")] | None = None
    promoted_at: Annotated[datetime, Meta(description="When its version was promoted.")] | None = None
    outcome: Annotated[
        RunOutcome,
        Meta(
            description=(
                "Running, Trained, Skipped, Failed, Refused in its trial, RolledBack, Promoted, NotCured (promoted, "
                "and the same alarm came back), Superseded by another spec.model or another run."
            )
        ),
    ] = RunOutcome.RUNNING
    reason: Annotated[Short, Meta(description="Why it brought no good version, in one word.")] = ""
    version: Annotated[Short, Meta(description="The version that it made.")] = ""
    sha256: Annotated[Short, Meta(description="SHA-256 of that version's bytes.")] = ""
    data: Annotated[Short, Meta(description="SHA-256 of the data that it was trained on, as the run says.")] = ""
    code: Annotated[Short, Meta(description="Revision of the code that trained it, as the run says.")] = ""
    message: Annotated[Short, Meta(description="What happened, in one sentence.")] = ""


class RetrainingState(enum.StrEnum):
    """One word for people."""

    IDLE = "Idle"
    WAITING = "Waiting"
    RUNNING = "Running"
    ADOPTING = "Adopting"
    STOPPED = "Stopped"


class Retraining(Base, frozen=True, kw_only=True):
    """Where retraining stands."""

    state: Annotated[RetrainingState, Meta(description="Idle, Waiting, Running, Adopting or Stopped.")] = (
        RetrainingState.IDLE
    )
    reason: Annotated[Short, Meta(description="Why, in one word; the same in the condition Retraining.")] = ""
    message: Annotated[Text, Meta(description="Why, in one sentence.")] = ""
    next_allowed_at: Annotated[datetime, Meta(description="Until when a run that is asked for waits.")] | None = None
    attempts: Annotated[int, Meta(description="Runs in a row without a good version.", ge=0)] = 0
    aborted: Annotated[bool, Meta(description="Stopped by the abort command, until the retrain command.")] = False
    template_sha256: Annotated[Short, Meta(description="Digest of the jobTemplate of the newest run.")] = ""
    starts: Annotated[
        tuple[datetime, ...], Meta(description="Starts within 30 days, newest first.", max_length=STARTS_KEPT)
    ] = ()
    runs: Annotated[tuple[Run, ...], Meta(description="Newest first.", max_length=RUNS_KEPT)] = ()
