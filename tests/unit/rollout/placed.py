"""`spec.serving` with everything that places pods, for tests of templates and of the API server's opinion of them."""

from __future__ import annotations

from seatrial.api import placement, spec, values
from seatrial.api.base import SecretReference

EVERYTHING = spec.Serving(
    node_selector={"disk": "ssd"},
    tolerations=(
        placement.Toleration(key="gpu", value="a100", effect=placement.TaintEffect.NO_SCHEDULE),
        placement.Toleration(operator=placement.TolerationOperator.EXISTS),
    ),
    topology_spread_constraints=(placement.Spread(topology_key="topology.kubernetes.io/zone"),),
    service_account_name="models",
    image_pull_secrets=(SecretReference(name="registry"),),
    priority_class_name="high",
    pod_labels={"team": "risk"},
    pod_annotations={"note": "mind the gap", "prometheus.io/scrape": "false"},
    termination_grace_period=values.Duration.parse("90s"),
)
