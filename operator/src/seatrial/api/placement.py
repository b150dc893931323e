"""Where pods may run and what they carry there: the part of `spec.serving` that is handed on to pod templates.

Applies to serving pods and to the trial's pod, which measures on the kind of node that will serve. Variables reach the
containers that hold the model, never the one that fetches it: that one's environment is the store's Secret. The same
type holds the operator's defaults, which a template takes where the object says nothing.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from typing import Annotated, Any

from msgspec import Meta

from .affinity import Affinity
from .base import Base, LabelKey, Labels, LabelValue, ObjectName, SecretReference, form
from .values import Duration

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


# What the linker, the interpreter, TLS and the server itself are steered by: a path in one of these could name a file
# of the model package, and run it.
_RESERVED_STARTS = "LD_|PYTHON|GLIBC_|GCONV_PATH|LOCPATH|NLSPATH|OPENSSL_|OMP_TOOL|ORT_|SEATRIAL_|XDG_|BASH_ENV"
RESERVED_ENV = f"^({_RESERVED_STARTS}|HOME$|PATH$|TMPDIR$)"
OWN_KEYS = ("seatrial.dev/", "app.kubernetes.io/managed-by", "app.kubernetes.io/component")


class Variable(Base, frozen=True, kw_only=True):
    """A variable of the containers that hold the model, such as OMP_NUM_THREADS or TZ."""

    name: Annotated[
        str,
        Meta(
            description="Letters, digits, underscores; not one that the linker, the interpreter or the server reads.",
            pattern="^[A-Za-z_][A-Za-z0-9_]*$",
            max_length=128,
            extra_json_schema=form("a variable's name: letters, digits and underscores, such as OMP_NUM_THREADS"),
        ),
    ]
    value: Annotated[
        str, Meta(description="Its text. Not for secrets: who reads the object reads it.", max_length=4096)
    ]


class Placement(Base, frozen=True, kw_only=True, omit_defaults=True):
    """What pod templates get as it is. All of it is left out by default, and then no part of a revision's name."""

    node_selector: (
        Annotated[Labels, Meta(description="Labels that a node must have, such as disk: ssd. Left out: any node.")]
        | None
    ) = None
    tolerations: (
        Annotated[tuple[Toleration, ...], Meta(description="Taints that the pods put up with.", max_length=16)] | None
    ) = None
    affinity: Affinity | None = None
    topology_spread_constraints: (
        Annotated[
            tuple[Spread, ...],
            Meta(
                description=(
                    "How the serving pods of a version are spread; its own pods are counted. Left out: over nodes, "
                    "where there is room."
                ),
                max_length=8,
            ),
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
    env: (
        Annotated[
            tuple[Variable, ...],
            Meta(
                description=(
                    "Variables of the server and of the trial; left out: none. The fetching container has those of "
                    "model.secretRef instead."
                ),
                max_length=32,
            ),
        ]
        | None
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

    def over(self, defaults: Placement) -> Placement:
        """This, and what `defaults` say where this says nothing. Maps are joined, and variables, by their names."""
        pairs = ((name, getattr(self, name), getattr(defaults, name)) for name in Placement.__struct_fields__)
        return Placement(**{name: _joined(own, other) for name, own, other in pairs})

    def faults(self) -> Iterator[str]:
        """What the resource's rules refuse, for placements that don't come from a resource."""
        for variable in self.env or ():
            if re.search(RESERVED_ENV, variable.name):
                yield f"env: {variable.name} is read by the linker, the interpreter or the server"
        for field, keys in (("podLabels", self.pod_labels), ("podAnnotations", self.pod_annotations)):
            yield from (f"{field}: {key} is the operator's own" for key in keys or () if key.startswith(OWN_KEYS))


def _joined(own: Any, other: Any) -> Any:
    if isinstance(own, dict) and isinstance(other, dict):
        return {**other, **own}
    if own and other and isinstance(own, tuple) and isinstance(own[0], Variable):
        return tuple({one.name: one for one in (*other, *own)}.values())
    return own or other
