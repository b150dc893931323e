"""`ModelDeployment.spec`: what a user wants, with every default. The CRD's schema is generated from these types.

A field exists only once it works. Docstrings become the descriptions in the CRD; bounds are in the annotations.
What the schema can't say as bounds are CEL rules, see `rules`. A module for each part of the spec; all names are here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from seatrial.api.base import Base, SecretReference
from seatrial.api.values import Duration, Quantity, Ratio, Size

from .analysis import (
    Analysis,
    Answers,
    Disagreement,
    Errors,
    Latency,
    Metric,
    OnNoData,
    OnShift,
    PrometheusSource,
    Rejections,
)
from .feedback import Better, BusinessOutcome, Feedback, OutcomeSource, Quality, QualityAfter
from .model import Model, Quantization, QuantizationFailure, QuantizationMode, Sha256
from .monitoring import Attributions, Drift, DriftMode, Monitoring, Samples, Season
from .retraining import Adopt, Retraining, Trigger
from .rollout import (
    DEFAULT_PROVIDER,
    DEFAULT_STEPS,
    MIN_DURATION,
    Dataset,
    Gateway,
    InsufficientTraffic,
    OnRegression,
    ParentRef,
    Promotion,
    Provider,
    Rollout,
    Step,
    Traffic,
    Trial,
)
from .serving import (
    Cache,
    Cors,
    Fallback,
    FallbackMode,
    Limits,
    ResourceList,
    Resources,
    Serving,
    Tls,
    Tracing,
    VersionPinning,
)

__all__ = [
    "DEFAULT_PROVIDER",
    "DEFAULT_STEPS",
    "MIN_DURATION",
    "Adopt",
    "Analysis",
    "Answers",
    "Attributions",
    "Better",
    "BusinessOutcome",
    "Cache",
    "Command",
    "Cors",
    "Dataset",
    "Disagreement",
    "Drift",
    "DriftMode",
    "Duration",
    "Errors",
    "Fallback",
    "FallbackMode",
    "Feedback",
    "Gateway",
    "InsufficientTraffic",
    "Latency",
    "Limits",
    "Metric",
    "Model",
    "Monitoring",
    "OnNoData",
    "OnRegression",
    "OnShift",
    "OutcomeSource",
    "ParentRef",
    "PrometheusSource",
    "Promotion",
    "Provider",
    "Quality",
    "QualityAfter",
    "Quantity",
    "Quantization",
    "QuantizationFailure",
    "QuantizationMode",
    "Ratio",
    "Rejections",
    "ResourceList",
    "Resources",
    "Retraining",
    "Rollout",
    "Samples",
    "Season",
    "SecretReference",
    "Serving",
    "Sha256",
    "Size",
    "Spec",
    "Step",
    "Tls",
    "Tracing",
    "Traffic",
    "Trial",
    "Trigger",
    "VersionPinning",
]


class Spec(Base, frozen=True, kw_only=True):
    """What a user wants of one model deployment."""

    model: Model
    replicas: Annotated[int, Meta(description="Pods of the stable version.", ge=1, le=500)] = 2
    quantization: Quantization = Quantization()
    serving: Serving = Serving()
    trial: Trial = Trial()
    rollout: Rollout = Rollout()
    analysis: Analysis = Analysis()
    monitoring: Monitoring = Monitoring()
    retraining: Retraining | None = None
    revision_history_limit: Annotated[int, Meta(description="Old revisions kept for a return.", ge=1, le=50)] = 10


Command = Literal[
    "promote",
    "abort",
    "retry",
    "pause",
    "resume",
    "rollback-to",
    "refresh-image",
    "accept-drift",
    "retrain",
    "adopt",
    "unfollow",
]
