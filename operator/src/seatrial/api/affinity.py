"""Affinity of pods as Kubernetes spells it: the part of `spec.serving.affinity` that a template gets unchanged.

The names are Kubernetes' own, so that what people have in other manifests can be copied. Left out is what model servers
have no use for (namespaceSelector, matchFields, matchLabelKeys): a field exists only once it works.
"""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta

from .base import Base, LabelKey, Labels, LabelValue, Name

Weight = Annotated[int, Meta(description="How much it counts among the preferred ones.", ge=1, le=100)]
TopologyKey = Annotated[
    LabelKey, Meta(description="Label of nodes that says what one place is, such as kubernetes.io/hostname.")
]
Values = Annotated[
    tuple[LabelValue, ...],
    Meta(description="What In, NotIn, Gt and Lt compare with; left out with the others.", max_length=16),
]


class NodeOperator(enum.StrEnum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    GT = "Gt"
    LT = "Lt"


class PodOperator(enum.StrEnum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class NodeExpression(Base, frozen=True, kw_only=True, omit_defaults=True):
    """A condition on a node's labels."""

    key: Annotated[LabelKey, Meta(description="The label.")]
    operator: Annotated[NodeOperator, Meta(description="Gt and Lt compare whole numbers.")]
    values: Values | None = None


class NodeTerm(Base, frozen=True, kw_only=True, omit_defaults=True):
    """Conditions that hold together."""

    match_expressions: Annotated[
        tuple[NodeExpression, ...], Meta(description="All of them must hold.", min_length=1, max_length=8)
    ]


class NodeTerms(Base, frozen=True, kw_only=True, omit_defaults=True):
    """Nodes that will do."""

    node_selector_terms: Annotated[
        tuple[NodeTerm, ...], Meta(description="One of them must fit.", min_length=1, max_length=4)
    ]


class PreferredNodes(Base, frozen=True, kw_only=True, omit_defaults=True):
    """Nodes that are better than others."""

    weight: Weight
    preference: NodeTerm


class NodeAffinity(Base, frozen=True, kw_only=True, omit_defaults=True):
    """Which nodes, by their labels."""

    required_during_scheduling_ignored_during_execution: NodeTerms | None = None
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[tuple[PreferredNodes, ...], Meta(description="Wishes, by weight; left out: none.", max_length=4)]
        | None
    ) = None


class PodExpression(Base, frozen=True, kw_only=True, omit_defaults=True):
    """A condition on a pod's labels."""

    key: Annotated[LabelKey, Meta(description="The label.")]
    operator: Annotated[PodOperator, Meta(description="How it is compared.")]
    values: Values | None = None


class PodSelector(Base, frozen=True, kw_only=True, omit_defaults=True):
    """Pods, by their labels; seatrial.dev/modeldeployment names the deployment that serving pods belong to."""

    match_labels: Annotated[Labels, Meta(description="Labels that they have; left out: any.")] | None = None
    match_expressions: (
        Annotated[tuple[PodExpression, ...], Meta(description="All of them must hold; left out: none.", max_length=4)]
        | None
    ) = None


class PodTerm(Base, frozen=True, kw_only=True, omit_defaults=True):
    """Places, by the pods that are there."""

    topology_key: TopologyKey
    label_selector: PodSelector
    namespaces: (
        Annotated[tuple[Name, ...], Meta(description="Where they are; left out: this namespace.", max_length=8)] | None
    ) = None


class WeightedPodTerm(Base, frozen=True, kw_only=True, omit_defaults=True):
    """Places that are better than others."""

    weight: Weight
    pod_affinity_term: PodTerm


class PodAffinity(Base, frozen=True, kw_only=True, omit_defaults=True):
    """Near to pods, or away from them."""

    required_during_scheduling_ignored_during_execution: (
        Annotated[tuple[PodTerm, ...], Meta(description="All of them must fit; left out: none.", max_length=4)] | None
    ) = None
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[tuple[WeightedPodTerm, ...], Meta(description="Wishes, by weight; left out: none.", max_length=4)]
        | None
    ) = None


class Affinity(Base, frozen=True, kw_only=True, omit_defaults=True):
    """What draws the pods to nodes and other pods, or keeps them away."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None
