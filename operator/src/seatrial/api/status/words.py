"""The words that status speaks in: phase, reasons and conditions."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from .base import Base, Short, Text


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
    MONITORING_UNSUPPORTED = "MonitoringUnsupported"
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
