"""The reports of trials that have passed, wherever they are kept."""

from __future__ import annotations

from seatrial.cluster import access
from seatrial.control import reading
from seatrial.rollout import facts, names
from seatrial.rollout import report as report_


async def passed(cluster: access.Cluster, owner: facts.Owner, revision: str) -> report_.Report | None:
    """The report of a revision's trial: from beside its configuration, else from its record's notes."""
    name = names.of_revision(owner.name, revision)
    config_map = await cluster.get("ConfigMap", owner.namespace, name)
    found = reading.report_of(config_map) if config_map is not None else None
    if found is not None:
        return found
    raw = await cluster.get("ControllerRevision", owner.namespace, name)
    return reading.noted_reports({revision: reading.notes(raw)}).get(revision) if raw is not None else None
