"""Where pods may run and what they carry there: the part of `spec.serving` that is handed on to pod templates.

Applies to serving pods and to the trial's pod, which measures on the kind of node that will serve. Environment
variables are no part of it: the paths of Python's and the linker's would run what lies in a model package. Full
affinity isn't either: node labels, tolerations and spreading say what a model server needs, in a tenth of the schema.
"""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta

from .base import Base, ObjectName, SecretReference, form
from .values import Duration

LabelKey = Annotated[
    str,
    Meta(
        pattern=r"^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        max_length=317,
        extra_json_schema=form("the key of a label, such as topology.kubernetes.io/zone"),
    ),
]
LabelValue = Annotated[
    str,
    Meta(
        pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        max_length=63,
        extra_json_schema=form("the value of a label: letters, digits, hyphens, dots and underscores"),
    ),
]
Labels = Annotated[dict[str, LabelValue], Meta(max_length=32)]
Annotations = Annotated[dict[str, Annotated[str, Meta(max_length=4096)]], Meta(max_length=32)]


class TolerationOperator(enum.StrEnum):
    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(enum.StrEnum):
    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(Base, frozen=True, kw_only=True, omit_defaults=True):
    """A taint of nodes that the pods put up with."""

    key: Annotated[LabelKey, Meta(description="Key of the taint; left out with Exists: every taint.")] | None = None
    operator: Annotated[TolerationOperator, Meta(description="Equal compares value; Exists takes any.")] = (
        TolerationOperator.EQUAL
    )
    value: Annotated[LabelValue, Meta(description="Value of the taint; left out with Exists.")] | None = None
    effect: Annotated[TaintEffect, Meta(description="Effect of the taint; left out: every effect.")] | None = None
    toleration_seconds: (
        Annotated[
            int,
            Meta(
                description="With NoExecute: seconds that a pod stays after the taint came; left out: for ever.",
                ge=0,
                le=31_536_000,
            ),
        ]
        | None
    ) = None


class Unsatisfiable(enum.StrEnum):
    DO_NOT_SCHEDULE = "DoNotSchedule"
    SCHEDULE_ANYWAY = "ScheduleAnyway"


class Spread(Base, frozen=True, kw_only=True, omit_defaults=True):
    """How the pods of one version are spread over nodes, zones or whatever the nodes' label names."""

    topology_key: Annotated[LabelKey, Meta(description="Label of nodes, such as topology.kubernetes.io/zone.")]
    max_skew: Annotated[int, Meta(description="Difference that is fine between two places.", ge=1, le=100)] = 1
    when_unsatisfiable: Annotated[Unsatisfiable, Meta(description="Whether a pod waits that can't be placed so.")] = (
        Unsatisfiable.SCHEDULE_ANYWAY
    )


class Placement(Base, frozen=True, kw_only=True, omit_defaults=True):
    """What pod templates get as it is. All of it is left out by default, and then no part of a revision's name."""

    node_selector: (
        Annotated[Labels, Meta(description="Labels that a node must have, such as disk: ssd. Left out: any node.")]
        | None
    ) = None
    tolerations: (
        Annotated[tuple[Toleration, ...], Meta(description="Taints that the pods put up with.", max_length=16)] | None
    ) = None
    topology_spread_constraints: (
        Annotated[
            tuple[Spread, ...],
            Meta(description="How the serving pods of a version are spread; its own pods are counted.", max_length=8),
        ]
        | None
    ) = None
    service_account_name: (
        Annotated[
            ObjectName,
            Meta(
                description=(
                    "Service account of the pods, for clouds that know a pod by it; left out: default. No token is "
                    "mounted. Where the "
                    'policies are installed it needs the label seatrial.dev/for-models: "true".'
                )
            ),
        ]
        | None
    ) = None
    image_pull_secrets: (
        Annotated[
            tuple[SecretReference, ...], Meta(description="Secrets to pull the serving image with.", max_length=8)
        ]
        | None
    ) = None
    priority_class_name: (
        Annotated[ObjectName, Meta(description="PriorityClass of the pods; left out: that of the cluster.")] | None
    ) = None
    pod_labels: (
        Annotated[Labels, Meta(description="Further labels of the pods, such as team: risk. Left out: none.")] | None
    ) = None
    pod_annotations: (
        Annotated[
            Annotations,
            Meta(
                description='Further annotations of the pods; left out: none. prometheus.io/scrape: "false" hides them.'
            ),
        ]
        | None
    ) = None
    termination_grace_period: (
        Annotated[Duration, Meta(description="Time a pod has to finish its requests. Default: 30s.")] | None
    ) = None

    @property
    def placement(self) -> Placement | None:
        """These members alone, or nothing when none is set. An empty list or map asks for nothing."""
        own = Placement(**{name: getattr(self, name) or None for name in Placement.__struct_fields__})
        return None if own == Placement() else own
