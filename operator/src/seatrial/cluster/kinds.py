"""Where each kind lives in the API: group version and plural. A kind that isn't here can't be reached.

The table is also the list of what the operator's role must allow.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import quote

from seatrial import api


class Kind(NamedTuple):
    """One kind of the API."""

    api_version: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """URL path of the collection, of one object or of its subresource; `namespace=None` is every namespace."""
        base = f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"
        scope = f"/namespaces/{quote(namespace, safe='')}" if namespace is not None else ""
        parts = [quote(part, safe="") for part in (self.plural, name, subresource) if part is not None]
        return f"{base}{scope}/{'/'.join(parts)}"


KINDS: Final[dict[str, Kind]] = {
    api.KIND: Kind(api.API_VERSION, api.PLURAL),
    "ConfigMap": Kind("v1", "configmaps"),
    "ControllerRevision": Kind("apps/v1", "controllerrevisions"),
    "CronJob": Kind("batch/v1", "cronjobs"),
    "Deployment": Kind("apps/v1", "deployments"),
    "EndpointSlice": Kind("discovery.k8s.io/v1", "endpointslices"),
    "Event": Kind("events.k8s.io/v1", "events"),
    "HTTPRoute": Kind("gateway.networking.k8s.io/v1", "httproutes"),
    "Job": Kind("batch/v1", "jobs"),
    "Lease": Kind("coordination.k8s.io/v1", "leases"),
    "Pod": Kind("v1", "pods"),
    "PodDisruptionBudget": Kind("policy/v1", "poddisruptionbudgets"),
    "Secret": Kind("v1", "secrets"),
    "Service": Kind("v1", "services"),
}

OPTIONAL: Final = frozenset({"CronJob", "HTTPRoute"})
"""Kinds that others install, or need not let us list. Where one isn't served, or may not be listed, none of it is in
memory, and that is all."""
