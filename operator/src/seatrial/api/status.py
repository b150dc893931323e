"""`ModelDeployment.status`: what the operator observed and decided; enough to go on from after a crash.

Facts, not a state machine: the planner derives what is next from them and from what the cluster shows. `phase` is for
columns only. Bounded, and free of anything that ticks by itself, so that nothing is written when nothing changed.
"""

from __future__ import annotations

import enum
import math
import re
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from .trained import Retraining, Trained

Text = Annotated[str, Meta(max_length=2048)]
Short = Annotated[str, Meta(max_length=256)]
Count = Annotated[int, Meta(ge=0)]
Revision = Annotated[Short, Meta(description="Name of a revision: a hash over everything that decides its pods.")]
ModelVersion = Annotated[Short, Meta(description="The model version's label, as in metrics and V2 model_version.")]
Digest = Annotated[Short, Meta(description="SHA-256 of the model's bytes as fetched.")]
ServedDigest = Annotated[Short, Meta(description="SHA-256 of the bytes served; differs from sha256 when quantized.")]
Precision = Annotated[
    Short, Meta(description="Precision served: fp32, fp16 or fp64 as exported, int8-static or int8-dynamic.")
]
Image = Annotated[str, Meta(description="Serving image, recorded when the revision was first seen.", max_length=512)]
ReadyReplicas = Annotated[Count, Meta(description="Pods that are Ready.")]

VERDICTS_KEPT = 20
WEIGHTS_KEPT = 24
Weighed = Annotated[
    tuple[datetime, ...],
    Meta(
        description="When its weight changed on its way, newest first; labels count from then.", max_length=WEIGHTS_KEPT
    ),
]


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
    INSUFFICIENT_EVIDENCE = "InsufficientEvidence"
    INSUFFICIENT_CAPACITY = "InsufficientCapacity"
    STABLE_ALSO_BREACHING = "StableAlsoBreaching"
    REGRESSION_SUSPECTED = "RegressionSuspected"
    METRIC_OUT_OF_BOUNDS = "MetricOutOfBounds"
    QUALITY_REGRESSED = "QualityRegressed"
    OUTCOMES_REGRESSED = "OutcomesRegressed"
    FEEDBACK_UNEVEN = "FeedbackUneven"
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
    SHED_REGRESSED = "ShedRegressed"
    TRAFFIC_NOT_ROUTED = "TrafficNotRouted"
    ANSWERS_SHIFTED = "AnswersShifted"
    INPUTS_UNLIKE_TRAINING = "InputsUnlikeTraining"
    UNEQUAL_TRAFFIC = "UnequalTraffic"
    SHADOW_FAILED = "ShadowFailed"
    ERRORS_ABOVE_MAXIMUM = "ErrorsAboveMaximum"
    LATENCY_ABOVE_MAXIMUM = "LatencyAboveMaximum"
    REGRESSED_AFTER_PROMOTION = "RegressedAfterPromotion"
    ABORTED = "Aborted"
    RETRIED = "Retried"
    COMMAND_IGNORED = "CommandIgnored"
    CHILD_REFUSED = "ChildRefused"
    NAME_TAKEN = "NameTaken"
    GATEWAY_API_MISSING = "GatewayAPIMissing"
    INVALID_SPEC = "InvalidSpec"
    BASELINE_UNAVAILABLE = "BaselineUnavailable"
    RETRAINING_IDLE = "RetrainingIdle"
    RETRAINING_STARTED = "RetrainingStarted"
    RETRAINING_FAILED = "RetrainingFailed"
    RETRAINING_STOPPED = "RetrainingStopped"
    WAITING_FOR_APPROVAL = "WaitingForApproval"
    COOLING_DOWN = "CoolingDown"
    NO_NEW_MODEL = "NoNewModel"
    DATA_SUSPECT = "DataSuspect"
    MODEL_TRAINED = "ModelTrained"
    METRICS_AVAILABLE = "MetricsAvailable"
    TRIAL_PASSED = "TrialPassed"
    NOTHING_ROLLING = "NothingRolling"
    FEATURE_DRIFT = "FeatureDrift"
    PREDICTION_DRIFT = "PredictionDrift"
    ATTRIBUTION_DRIFT = "AttributionDrift"
    INVALID_DATA = "InvalidData"
    NO_DRIFT = "NoDrift"
    DRIFT_SUSPECTED = "DriftSuspected"
    DRIFT_ACCEPTED = "DriftAccepted"
    NO_REFERENCE = "NoReference"
    DRIFT_DETECTED = "DriftDetected"
    DRIFT_CLEARED = "DriftCleared"
    QUALITY_DROPPED = "QualityDropped"
    QUALITY_HOLDS = "QualityHolds"
    QUALITY_ESTIMATED_LOWER = "QualityEstimatedLower"
    LABELS_MISSING = "LabelsMissing"
    UNKNOWN = "Unknown"  # of another release


class ConditionStatus(enum.StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Base, frozen=True, kw_only=True, omit_defaults=False):
    """A standard Kubernetes condition; lastTransitionTime moves only when status flips."""

    type: Annotated[
        Short,
        Meta(
            description=(
                "Ready, Available, Reconciling, Stalled, Verified, Analyzed, Routed, Drifted, QualityDropped or "
                "Retraining."
            )
        ),
    ]
    status: Annotated[ConditionStatus, Meta(description="True, False or Unknown.")]
    reason: Annotated[
        Short, Meta(description="One CamelCase word for machines; the same in events, verdicts and metrics.")
    ]
    message: Annotated[Text, Meta(description="What happened and what to do, for people.")]
    observed_generation: Annotated[
        int,
        Meta(description="metadata.generation that this was said of; -1 before the operator saw the object.", ge=-1),
    ]
    last_transition_time: Annotated[datetime, Meta(description="When status last flipped.")]


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


class Share(Base, frozen=True, kw_only=True):
    """Requests answered, by arm, in the current step."""

    stable: Annotated[Count, Meta(description="Requests answered by stable.")] = 0
    candidate: Annotated[Count, Meta(description="Requests answered by the candidate.")] = 0


class Traffic(Base, frozen=True, kw_only=True):
    """What was asked of the traffic provider and what the request counters say."""

    provider: Annotated[Short, Meta(description="What shares the requests out: Relay, Service or GatewayAPI.")] = (
        "Service"
    )
    asked: Annotated[
        Short, Meta(description="Provider of the next rollout, where the one under way has to end with another one.")
    ] = ""
    desired_weight: Annotated[int, Meta(description="Candidate's share asked for, in percent.", ge=0, le=100)] = 0
    measured_share: (
        Annotated[str, Meta(description="Candidate's share of the requests in the current step.", max_length=16)] | None
    ) = None
    requests: Share | None = None
    relayed: Annotated[
        Short, Meta(description="Revision that stable's pods pass requests on to, or may not have stopped to yet.")
    ] = ""
    withdrawn_at: (
        Annotated[
            datetime,
            Meta(description="Since when they are told to pass on no more, as long as one of them may not follow yet."),
        ]
        | None
    ) = None

    @property
    def measured(self) -> float | None:
        """The measured share in percent, where it is one: anybody may have edited it."""
        figure = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)%", self.measured_share or "", re.ASCII)
        return float(figure[1]) if figure else None


class MetricStatus(Base, frozen=True, kw_only=True):
    """One compared metric. Shares are percentages; evidence is an e-value, rolled back at the bound."""

    name: Annotated[Short, Meta(description="Which metric: errors, latency, rejections, degraded or shed.")]
    stable: Annotated[Short, Meta(description="Stable's share.")] = ""
    candidate: Annotated[Short, Meta(description="Candidate's share.")] = ""
    ratio: Annotated[Short, Meta(description="Candidate's share over stable's.")] = ""
    low: Annotated[Short, Meta(description="Lower end of the confidence interval of the ratio.")] = ""
    high: Annotated[Short, Meta(description="Upper end of the confidence interval of the ratio.")] = ""
    evidence: Annotated[Short, Meta(description="E-value against the candidate.")] = ""
    bound: Annotated[Short, Meta(description="The e-value at which the candidate is rolled back.")] = ""
    outcome: Annotated[Short, Meta(description="Pass, Fail, NoData, Inconclusive or Error.")] = ""

    @property
    def progress(self) -> float | None:
        return progress(self.evidence, self.bound)


def progress(evidence: str, bound: str) -> float | None:
    """How far evidence has come to its bound, on the scale on which it grows, its logarithm: 0 for none, 1 at the
    bound; None where there is nothing to tell.
    """
    try:
        has, needs = float(evidence), float(bound)
    except ValueError:
        return None
    return math.log(max(has, 1.0)) / math.log(needs) if needs > 1 else None


class AnalysisStatus(Base, frozen=True, kw_only=True):
    """The last look at the evidence that changed something."""

    outcome: Annotated[Short, Meta(description="Pass, Fail, NoData, Inconclusive or Error.")]
    at: Annotated[datetime, Meta(description="When it was looked at.")]
    window: Annotated[Short, Meta(description="Span of time the evidence covers.")] = ""
    source: Annotated[
        Short, Meta(description="Where the numbers are from: Prometheus, Pods (read directly), or both.")
    ] = ""
    message: Annotated[Text, Meta(description="What decided, in one sentence.")] = ""
    metrics: Annotated[tuple[MetricStatus, ...], Meta(description="Each compared metric.", max_length=16)] = ()


class QuantizationStatus(Base, frozen=True, kw_only=True):
    """What became of the quantization; shares are percentages, speed-ups factors."""

    mode: Annotated[Short, Meta(description="The mode asked for.")]
    outcome: Annotated[Short, Meta(description="Applied, NotApplicable, ServedOriginal, Rejected or Off.")]
    reason: Annotated[Text, Meta(description="Why, in one sentence.")] = ""
    disagreement: Annotated[Short, Meta(description="Rows whose answer differs from the original's.")] = ""
    bound: Annotated[Short, Meta(description="maxDisagreement at the time.")] = ""
    rows: Annotated[Count, Meta(description="Rows compared.")] = 0
    speedup1: Annotated[Short, Meta(description="Times faster than the original at batch 1.")] = ""
    speedup32: Annotated[Short, Meta(description="Times faster than the original at batch 32.")] = ""


class TestStatus(Base, frozen=True, kw_only=True):
    """One model test."""

    __test__ = False  # not a test of ours

    name: Annotated[Short, Meta(description="The test's name in the model package.")]
    outcome: Annotated[Short, Meta(description="Pass or Fail.")]
    observed: Annotated[Short, Meta(description="What was measured.")] = ""
    bound: Annotated[Short, Meta(description="What was asked for.")] = ""
    rows: Annotated[Count, Meta(description="Rows tested.")] = 0


class TrialStatus(Base, frozen=True, kw_only=True):
    """The trial of the newest tried revision."""

    revision: Revision
    outcome: Annotated[Short, Meta(description="Passed, Rejected or Failed.")]
    message: Annotated[Text, Meta(description="Cause and remedy, in one sentence.")] = ""
    quantization: QuantizationStatus | None = None
    tests: Annotated[tuple[TestStatus, ...], Meta(description="Each model test.", max_length=50)] = ()
    report_sha256: Annotated[
        Short, Meta(description="SHA-256 of the trial's report, as the trial itself stated it.")
    ] = ""


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


class DriftOutcome(enum.StrEnum):
    CLEAN = "Clean"
    SUSPECTED = "Suspected"
    DRIFTED = "Drifted"
    UNKNOWN = "Unknown"


class DriftedColumn(Base, frozen=True, kw_only=True):
    """A test of a column that alarms or is suspected. Shares are percentages; evidence is an e-value."""

    name: Annotated[Short, Meta(description="The feature or prediction.")]
    kind: Annotated[Short, Meta(description="Feature, Prediction or Attribution.")]
    test: Annotated[
        Short, Meta(description="Shape, or of bad data: Missing, Outside (of the reference's range or categories).")
    ]
    outcome: Annotated[DriftOutcome, Meta(description="Drifted or Suspected.")]
    where: Annotated[Short, Meta(description="The rows that moved, in words of values.")] = ""
    share: Annotated[Short, Meta(description="Share of the rows that lay there.")] = ""
    reference: Annotated[Short, Meta(description="Share of the reference rows that lies there.")] = ""
    tolerated: Annotated[Short, Meta(description="Share up to which nothing counts as moved.")] = ""
    rows: Annotated[Count, Meta(description="Rows looked at.")] = 0
    window: Annotated[Short, Meta(description="Over which time.")] = ""
    evidence: Annotated[Short, Meta(description="E-value against the share being within what is tolerated.")] = ""
    bound: Annotated[Short, Meta(description="The e-value that is an alarm.")] = ""
    since: Annotated[datetime, Meta(description="Since when it alarms.")] | None = None

    @property
    def bad_data(self) -> bool:
        """Whether rows are missing or unlike anything known: nothing to learn from."""
        return self.test in ("Missing", "Outside")


class DriftStatus(Base, frozen=True, kw_only=True):
    """Whether traffic has moved away from what stable was made for. Written when that changes, and once a day."""

    revision: Revision
    outcome: Annotated[DriftOutcome, Meta(description="Clean, Suspected, Drifted or Unknown.")]
    since: Annotated[datetime, Meta(description="Since when the outcome is this.")]
    at: Annotated[datetime, Meta(description="End of the hours that it was last written about.")]
    accepted_at: Annotated[datetime, Meta(description="When the accept-drift command was last followed.")] | None = None
    columns: Annotated[
        tuple[DriftedColumn, ...], Meta(description="Tests that alarm or are suspected, strongest first.", max_length=5)
    ] = ()

    @property
    def alarms(self) -> tuple[DriftedColumn, ...]:
        """Those of the columns that alarm."""
        return tuple(one for one in self.columns if one.outcome is DriftOutcome.DRIFTED)

    @property
    def bad_data(self) -> bool:
        """Whether one of the alarms is of bad data."""
        return any(one.bad_data for one in self.alarms)


class QualityOutcome(enum.StrEnum):
    HOLDS = "Holds"
    SUSPECTED = "Suspected"
    DROPPED = "Dropped"
    UNKNOWN = "Unknown"


class QualityStatus(Base, frozen=True, kw_only=True):
    """How often stable's answers turn out wrong, by labels of whole days. Written when that changes, and once a day."""

    revision: Revision
    outcome: Annotated[QualityOutcome, Meta(description="Holds, Suspected, Dropped or Unknown.")]
    since: Annotated[datetime, Meta(description="Since when the outcome is this.")]
    at: Annotated[datetime, Meta(description="When it was last written.")]
    until: Annotated[datetime, Meta(description="End of the days of requests that were looked at.")] | None = None
    window: Annotated[Short, Meta(description="Over which time.")] = ""
    labelled: Annotated[Count, Meta(description="Rows with a label.")] = 0
    wrong: Annotated[Count, Meta(description="Those of them that were wrong.")] = 0
    share: Annotated[Short, Meta(description="Share of wrong rows.")] = ""
    low: Annotated[Short, Meta(description="What the share is above, with 99%.")] = ""
    high: Annotated[Short, Meta(description="What it is below, with 99%.")] = ""
    limit: Annotated[Short, Meta(description="Share up to which it counts as no worse.")] = ""
    against: Annotated[
        Short, Meta(description="Where the limit is from: Maximum, as in the spec; Holdout; FirstWeeks.")
    ] = ""
    evidence: Annotated[Short, Meta(description="E-value against the share being within the limit.")] = ""
    bound: Annotated[Short, Meta(description="The e-value that is an alarm.")] = ""
    estimated: Annotated[
        Short, Meta(description="Share of wrong rows that confidence alone lets expect on the last day; never judged.")
    ] = ""
    estimated_low: Annotated[Short, Meta(description="Lower end of that, with 95%.")] = ""
    estimated_high: Annotated[Short, Meta(description="Upper end of that, with 95%.")] = ""


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


class Status(Base, frozen=True, kw_only=True):
    """What the operator observed and decided."""

    observed_generation: Annotated[
        int,
        Meta(
            description="metadata.generation that this status is about; -1 before the operator saw the object.", ge=-1
        ),
    ] = -1
    phase: Annotated[Phase, Meta(description="One word for people; decisions never read it.")] = Phase.PENDING
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(
            description="Standard conditions, readable by kstatus and `kubectl wait`.",
            max_length=16,
            extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
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
    set_back: SetBack | None = None
    drift: DriftStatus | None = None
    quality: QualityStatus | None = None
    trained: Trained | None = None
    retraining: Retraining | None = None
    commands: Commands = Commands()
    endpoint: Annotated[Text, Meta(description="URL of the V2 model endpoint inside the cluster.")] = ""
    replicas: Annotated[Count, Meta(description="Pods that the selector finds, for the scale subresource.")] = 0
    selector: Annotated[
        Text, Meta(description="Selects stable's pods, or the candidate's once it has all traffic.")
    ] = ""
