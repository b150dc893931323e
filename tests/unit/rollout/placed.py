"""`spec.serving` with everything that places pods, for tests of templates and of the API server's opinion of them."""

from __future__ import annotations

from seatrial.api import affinity, placement, spec, values
from seatrial.api.base import SecretReference

_SSD = affinity.NodeExpression(key="disk", operator=affinity.NodeOperator.IN, values=("ssd",))
_BIG = affinity.NodeExpression(key="cores", operator=affinity.NodeOperator.GT, values=("16",))
_OTHERS = affinity.PodTerm(
    topology_key="kubernetes.io/hostname",
    label_selector=affinity.PodSelector(
        match_labels={"app": "batch"},
        match_expressions=(affinity.PodExpression(key="quiet", operator=affinity.PodOperator.DOES_NOT_EXIST),),
    ),
    namespaces=("jobs",),
)
AFFINITY = affinity.Affinity(
    node_affinity=affinity.NodeAffinity(
        required_during_scheduling_ignored_during_execution=affinity.NodeTerms(
            node_selector_terms=(affinity.NodeTerm(match_expressions=(_SSD, _BIG)),)
        ),
        preferred_during_scheduling_ignored_during_execution=(
            affinity.PreferredNodes(weight=10, preference=affinity.NodeTerm(match_expressions=(_BIG,))),
        ),
    ),
    pod_affinity=affinity.PodAffinity(
        preferred_during_scheduling_ignored_during_execution=(
            affinity.WeightedPodTerm(weight=1, pod_affinity_term=_OTHERS),
        )
    ),
    pod_anti_affinity=affinity.PodAffinity(required_during_scheduling_ignored_during_execution=(_OTHERS,)),
)

EVERYTHING = spec.Serving(
    node_selector={"disk": "ssd"},
    tolerations=(
        placement.Toleration(key="gpu", value="a100", effect=placement.TaintEffect.NO_SCHEDULE),
        placement.Toleration(operator=placement.TolerationOperator.EXISTS),
    ),
    topology_spread_constraints=(placement.Spread(topology_key="topology.kubernetes.io/zone"),),
    affinity=AFFINITY,
    env=(placement.Variable(name="OMP_NUM_THREADS", value="2"), placement.Variable(name="TZ", value="Europe/Oslo")),
    resources=spec.Resources(
        requests=spec.ResourceList(cpu=values.Quantity("500m"), memory=values.Quantity("512Mi")),
        limits=spec.ResourceList(memory=values.Quantity("1Gi"), ephemeral_storage=values.Quantity("4Gi")),
    ),
    service_account_name="models",
    image_pull_secrets=(SecretReference(name="registry"),),
    priority_class_name="high",
    pod_labels={"team": "risk"},
    pod_annotations={"note": "mind the gap", "prometheus.io/scrape": "false"},
    termination_grace_period=values.Duration.parse("90s"),
)
