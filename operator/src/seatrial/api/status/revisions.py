"""The revisions that are somebody: stable, the one before it, and the candidate on its way."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta

from .base import Base, Digest, Image, ModelVersion, Precision, ReadyReplicas, Revision, ServedDigest, Short, Text
from .words import Reason

WEIGHTS_KEPT = 24
Weighed = Annotated[
    tuple[datetime, ...],
    Meta(
        description="When its weight changed on its way, newest first; labels count from then.", max_length=WEIGHTS_KEPT
    ),
]


class Known(Base, frozen=True, kw_only=True):
    """What is known of a revision once it is somebody: which version, which bytes, on which server."""

    revision: Revision
    model_version: ModelVersion
    sha256: Digest
    served_sha256: ServedDigest = ""
    precision: Precision = ""
    image: Image = ""

    def identity(self) -> dict[str, Any]:
        """These fields, for the same revision in another role."""
        return {name: getattr(self, name) for name in Known.__struct_fields__}


class Breach(Base, frozen=True, kw_only=True):
    """Proof against the revision that has the traffic. It stands until the version before it has taken over."""

    reason: Annotated[Reason, Meta(description="Why, in one word.")]
    message: Annotated[Text, Meta(description="Why, in one sentence.")] = ""
    at: Annotated[datetime, Meta(description="First sample at which the evidence passed the bound.")]
    healthy_percent: Annotated[
        int, Meta(description="Share of its answers that were in order, in percent.", ge=0, le=100)
    ] = 100


class Stable(Known, frozen=True, kw_only=True):
    """The revision that has the traffic and a good name."""

    ready_replicas: ReadyReplicas = 0
    since: Annotated[datetime, Meta(description="When it was promoted.")]
    missing_since: Annotated[datetime, Meta(description="Since when none of its pods has been Ready.")] | None = None
    first: Annotated[
        bool, Meta(description="Nothing was stable before it, so it was compared with nobody before its soak.")
    ] = False
    weighed: Weighed = ()
    breach: Breach | None = None


class Previous(Known, frozen=True, kw_only=True):
    """The revision that was stable before, kept warm until the soak is over."""

    since: Annotated[datetime, Meta(description="When it was promoted.")]
    warm_until: Annotated[datetime, Meta(description="End of the soak: until then going back is one flip.")]


class Hold(Base, frozen=True, kw_only=True):
    """Why the candidate goes no further. It ends with a command, or with another version."""

    reason: Annotated[
        Reason,
        Meta(description="Paused: by the pause command; AnswersShifted; else the regression that was found."),
    ]
    message: Annotated[Text, Meta(description="Why, in one sentence.")] = ""
    at: Annotated[datetime, Meta(description="Since when.")]

    @property
    def by_command(self) -> bool:
        return self.reason is Reason.PAUSED

    @property
    def harmless(self) -> bool:
        """Nothing was found to be bad: the candidate keeps what it has, and gets no more."""
        return self.reason in (Reason.PAUSED, Reason.ANSWERS_SHIFTED)


class Candidate(Known, frozen=True, kw_only=True):
    """The revision on trial or taking over. Times are the API server's."""

    ready_replicas: ReadyReplicas = 0
    trial_started_at: Annotated[datetime, Meta(description="When the trial Job was asked for.")] | None = None
    trial_attempt: Annotated[
        int, Meta(description="Which try of the trial this is; a failure of the surroundings gets another one.", ge=1)
    ] = 1
    started_at: (
        Annotated[datetime, Meta(description="When its pods were asked for; startTimeout counts from here.")] | None
    ) = None
    provider: Annotated[
        Short, Meta(description="What shares the traffic out in this rollout; decided when its pods were asked for.")
    ] = ""
    step: Annotated[int, Meta(description="Step of the canary, counted from 1; 0 before it.", ge=0)] = 0
    weight: Annotated[int, Meta(description="Share asked for, in percent.", ge=0, le=100)] = 0
    shadow: Annotated[
        int, Meta(description="Share of stable's requests of which it gets copies, in percent.", ge=0, le=100)
    ] = 0
    weight_since: (
        Annotated[
            datetime, Meta(description="When the weight was asked for; the evidence of the step counts from here.")
        ]
        | None
    ) = None
    step_started_at: Annotated[datetime, Meta(description="When the step's first request was answered.")] | None = None
    blind_since: Annotated[datetime, Meta(description="Since when no usable metrics came.")] | None = None
    waiting_for_approval: Annotated[bool, Meta(description="The step is done and waits for the promote command.")] = (
        False
    )
    promoting: Annotated[
        bool, Meta(description="All steps passed; full capacity is being made, then all traffic moves.")
    ] = False
    windows: Annotated[
        int, Meta(description="How often the evidence of the step was begun; each time has its part of the rate.", ge=0)
    ] = 1
    weighed: Weighed = ()
    shift: Annotated[
        Text, Meta(description="That its answers to copies differ from stable's more often than they may; once proven.")
    ] = ""
    hold: Hold | None = None
