"""`ModelDeployment.status`: what the operator observed and decided; enough to go on from after a crash.

Facts, not a state machine: the planner derives what is next from them and from what the cluster shows. `phase` is for
columns only. Bounded, and free of anything that ticks by itself, so that nothing is written when nothing changed.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from .spec import QuantizationMode

Text = Annotated[str, Meta(max_length=2048)]
Short = Annotated[str, Meta(max_length=256)]
Count = Annotated[int, Meta(ge=0)]

VERDICTS_KEPT = 20


class Base(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Immutable, camelCase on the wire, defaults left out."""


class Phase(enum.StrEnum):
    """One word for `kubectl get`; decisions never read it."""

    PENDING = "Pending"
    TRIAL = "Trial"
    STARTING = "Starting"
    CANARY = "Canary"
    PAUSED = "Paused"
    PROMOTING = "Promoting"
    SOAKING = "Soaking"
    STABLE = "Stable"
    ROLLED_BACK = "RolledBack"
    STALLED = "Stalled"


class Reason(enum.StrEnum):
    """Why. The same word appears in conditions, events, verdicts and metrics."""

    PENDING = "Pending"
    TRIAL_RUNNING = "TrialRunning"
    STARTING = "Starting"
    CANARY_PROGRESSING = "CanaryProgressing"
    PAUSED = "Paused"
    INSUFFICIENT_TRAFFIC = "InsufficientTraffic"
    STABLE_ALSO_BREACHING = "StableAlsoBreaching"
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    PROMOTING = "Promoting"
    PROMOTED = "Promoted"
    SUPERSEDED = "Superseded"
    ROLLED_BACK = "RolledBack"
    MODEL_REJECTED = "ModelRejected"
    TRIAL_FAILED = "TrialFailed"
    TRIAL_TIMEOUT = "TrialTimeout"
    CRASH_LOOP = "CrashLoop"
    START_TIMEOUT = "StartTimeout"
    ERRORS_REGRESSED = "ErrorsRegressed"
    LATENCY_REGRESSED = "LatencyRegressed"
    REJECTIONS_REGRESSED = "RejectionsRegressed"
    DEGRADED_REGRESSED = "DegradedRegressed"
    ERRORS_ABOVE_MAXIMUM = "ErrorsAboveMaximum"
    LATENCY_ABOVE_MAXIMUM = "LatencyAboveMaximum"
    REGRESSED_AFTER_PROMOTION = "RegressedAfterPromotion"
    ABORTED = "Aborted"
    CHILD_REFUSED = "ChildRefused"
    NAME_TAKEN = "NameTaken"
    INVALID_SPEC = "InvalidSpec"
    METRICS_AVAILABLE = "MetricsAvailable"
    TRIAL_PASSED = "TrialPassed"
    NOTHING_ROLLING = "NothingRolling"


class ConditionStatus(enum.StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Base, frozen=True, kw_only=True, omit_defaults=False):
    """A standard Kubernetes condition; lastTransitionTime moves only when status flips."""

    type: Short
    status: ConditionStatus
    reason: Short
    message: Text
    observed_generation: int
    last_transition_time: datetime


class Stable(Base, frozen=True, kw_only=True):
    """The revision that has the traffic and a good name."""

    revision: Short
    model_version: Short
    sha256: Short
    served_sha256: Short = ""
    precision: Short = ""
    image: Short = ""
    ready_replicas: Count = 0
    since: datetime


class Previous(Base, frozen=True, kw_only=True):
    """The revision that was stable before, kept warm until the soak is over."""

    revision: Short
    model_version: Short
    sha256: Short
    served_sha256: Short = ""
    precision: Short = ""
    image: Short = ""
    since: datetime
    warm_until: datetime


class Candidate(Base, frozen=True, kw_only=True):
    """The revision on trial or taking over. Times are the API server's."""

    revision: Short
    model_version: Short
    sha256: Short
    served_sha256: Short = ""
    precision: Short = ""
    image: Short = ""
    ready_replicas: Count = 0
    trial_started_at: datetime | None = None
    started_at: (
        Annotated[datetime, Meta(description="When its pods were asked for; startTimeout counts from here.")] | None
    ) = None
    step: Annotated[int, Meta(description="Step of the canary, counted from 1; 0 before it.", ge=0)] = 0
    weight: Annotated[int, Meta(description="Share asked for, in percent.", ge=0, le=100)] = 0
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


class Share(Base, frozen=True, kw_only=True):
    """Requests answered, by arm, in the current step."""

    stable: Count = 0
    candidate: Count = 0


class Traffic(Base, frozen=True, kw_only=True):
    """What was asked of the traffic provider and what the request counters say."""

    provider: Short = "Service"
    desired_weight: Annotated[int, Meta(ge=0, le=100)] = 0
    measured_share: (
        Annotated[str, Meta(description="Candidate's share of the requests in the current step.", max_length=16)] | None
    ) = None
    requests: Share | None = None


class MetricStatus(Base, frozen=True, kw_only=True):
    """One compared metric. Shares are percentages; evidence is an e-value, rolled back at the bound."""

    name: Short
    stable: Short = ""
    candidate: Short = ""
    ratio: Short = ""
    low: Short = ""
    high: Short = ""
    evidence: Short = ""
    bound: Short = ""
    outcome: Short = ""


class AnalysisStatus(Base, frozen=True, kw_only=True):
    """The last look at the evidence that changed something."""

    outcome: Short
    at: datetime
    window: Short = ""
    message: Text = ""
    metrics: Annotated[tuple[MetricStatus, ...], Meta(max_length=16)] = ()


class QuantizationStatus(Base, frozen=True, kw_only=True):
    """What became of the quantization; shares are percentages, speed-ups factors."""

    mode: QuantizationMode
    outcome: Short
    reason: Text = ""
    disagreement: Short = ""
    bound: Short = ""
    rows: Count = 0
    speedup1: Short = ""
    speedup32: Short = ""


class TestStatus(Base, frozen=True, kw_only=True):
    """One model test."""

    __test__ = False  # not a test of ours

    name: Short
    outcome: Short
    observed: Short = ""
    bound: Short = ""
    rows: Count = 0


class TrialStatus(Base, frozen=True, kw_only=True):
    """The trial of the newest tried revision."""

    revision: Short
    outcome: Short
    message: Text = ""
    quantization: QuantizationStatus | None = None
    tests: Annotated[tuple[TestStatus, ...], Meta(max_length=50)] = ()
    report_sha256: Short = ""


class VerdictKind(enum.StrEnum):
    PROMOTED = "Promoted"
    REJECTED = "Rejected"
    SUPERSEDED = "Superseded"


class Verdict(Base, frozen=True, kw_only=True):
    """What was decided of a revision, for good (a retry token clears a rejection)."""

    revision: Short
    model_version: Short
    sha256: Short
    verdict: VerdictKind
    reason: Reason
    message: Text = ""
    at: datetime


class Rollback(Base, frozen=True, kw_only=True):
    """The newest rollback: why, and how long it took until the candidate had no traffic."""

    source: Annotated[Short, Meta(description="Revision that lost its traffic.")] = msgspec.field(name="from")
    target: Annotated[Short, Meta(description="Revision that has it now.")] = msgspec.field(name="to")
    reason: Reason
    message: Text = ""
    breach_at: Annotated[datetime, Meta(description="First sample at which the evidence passed the bound.")]
    zero_weight_at: Annotated[datetime, Meta(description="When the endpoints no longer held the candidate.")] | None = (
        None
    )


class Commands(Base, frozen=True, kw_only=True):
    """Tokens of the command annotations that were handled; a token is handled once."""

    promote: Short = ""
    abort: Short = ""
    retry: Short = ""


class Status(Base, frozen=True, kw_only=True):
    """What the operator observed and decided."""

    observed_generation: int = -1
    phase: Phase = Phase.PENDING
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(
            max_length=16, extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
        ),
    ] = ()
    stable: Stable | None = None
    previous: Previous | None = None
    candidate: Candidate | None = None
    traffic: Traffic | None = None
    analysis: AnalysisStatus | None = None
    trial: TrialStatus | None = None
    verdicts: Annotated[tuple[Verdict, ...], Meta(description="Newest first.", max_length=VERDICTS_KEPT)] = ()
    last_rollback: Rollback | None = None
    commands: Commands = Commands()
    endpoint: Text = ""
    replicas: Count = 0
    selector: Text = ""
