"""`ModelDeployment.status`: what the operator observed and decided; enough to go on from after a crash.

Facts, not a state machine: the planner derives what is next from them and from what the cluster shows. `phase` is for
columns only. Bounded, and free of anything that ticks by itself, so that nothing is written when nothing changed.
A module for each concept; all names are here.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from seatrial.api.trained import Retraining, Trained

from .analysis import AnalysisStatus, MetricStatus, progress
from .base import (
    Base,
    Count,
    Digest,
    Image,
    ModelVersion,
    Precision,
    ReadyReplicas,
    Revision,
    ServedDigest,
    Short,
    Text,
)
from .monitored import DriftedColumn, DriftOutcome, DriftStatus, QualityOutcome, QualityStatus
from .revisions import WEIGHTS_KEPT, Breach, Candidate, Hold, Known, Previous, Stable, Weighed
from .traffic import Share, Traffic
from .trial import QuantizationStatus, TestStatus, TrialStatus
from .verdicts import Commands, Rollback, SetBack, Verdict, VerdictKind
from .words import Condition, ConditionStatus, Phase, Reason

__all__ = [
    "VERDICTS_KEPT",
    "WEIGHTS_KEPT",
    "AnalysisStatus",
    "Base",
    "Breach",
    "Candidate",
    "Commands",
    "Condition",
    "ConditionStatus",
    "Count",
    "Digest",
    "DriftOutcome",
    "DriftStatus",
    "DriftedColumn",
    "Hold",
    "Image",
    "Known",
    "MetricStatus",
    "ModelVersion",
    "Phase",
    "Precision",
    "Previous",
    "QualityOutcome",
    "QualityStatus",
    "QuantizationStatus",
    "ReadyReplicas",
    "Reason",
    "Revision",
    "Rollback",
    "ServedDigest",
    "SetBack",
    "Share",
    "Short",
    "Stable",
    "Status",
    "TestStatus",
    "Text",
    "Traffic",
    "TrialStatus",
    "Verdict",
    "VerdictKind",
    "Weighed",
    "progress",
]

VERDICTS_KEPT = 20


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
