"""Reads one ModelDeployment and its world into a snapshot: live reads in parallel."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from seatrial import api
from seatrial.api import values
from seatrial.api.spec import Spec
from seatrial.api.status import Commands, Status
from seatrial.cluster import errors
from seatrial.cluster import gateway as gateways
from seatrial.control import queue, reading
from seatrial.rollout import children, facts, names, report, revision

_LOG = logging.getLogger(__name__)

CHILDREN = ("ControllerRevision", "ConfigMap", "Job", "Deployment", "Service", "PodDisruptionBudget")
TRIAL_CONTAINER = "trial"


class InvalidSpec(Exception):
    """The spec can't be read, although the schema let it pass; the message names the field."""


class Observer:
    """Makes snapshots. Holds connections, no state."""

    def __init__(self, *, cluster: gateways.Gateway, operator: facts.Operator) -> None:
        self._cluster = cluster
        self._operator = operator

    async def read(self, key: queue.Key) -> gateways.Object | None:
        """The object itself; None when it is gone or going: owner references clean up."""
        raw = await self._cluster.get(api.KIND, key.namespace, key.name)
        return None if raw is None or "deletionTimestamp" in raw["metadata"] else raw

    async def snapshot(self, raw: gateways.Object) -> facts.Snapshot:
        """Everything a decision may rest on.

        Raises:
            InvalidSpec: the spec can't be read.
            ClusterError: a read failed; nothing was decided.
        """
        wish, owner, status = _spec(raw), owner_of(raw), status_of(raw)
        observed, pods, slices = await self._world(owner)
        of_kind = {kind: [one for one in observed if one["kind"] == kind] for kind in CHILDREN}
        records = {one.revision: one for one in map(reading.record, of_kind["ControllerRevision"])}
        content = revision.wanted(
            wish, name=owner.name, default_image=self._operator.serving_image, known=records.values()
        )
        servers = tuple(reading.pod(one) for one in pods if reading.component_of(one) == names.SERVER)
        service = next(iter(of_kind["Service"]), None)
        reports = _reports(of_kind["ConfigMap"])
        unread = {one.revision for one in (status.candidate, status.stable) if one is not None} - reports.keys()
        return facts.Snapshot(
            owner=owner,
            spec=wish,
            status=status,
            commands=_commands(raw),
            wanted=children.new_record(
                owner.name,
                content=content,
                wish=wish,
                known=records,
                deployed={reading.revision_of(one) for kind in ("Deployment", "ConfigMap") for one in of_kind[kind]},
            ),
            records=records,
            reports=reports,
            trials={
                reading.revision_of(one): await self._trial(one, pods, unread=reading.revision_of(one) in unread)
                for one in of_kind["Job"]
            },
            deployments={reading.revision_of(one): reading.deployment(one) for one in of_kind["Deployment"]},
            pods=servers,
            endpoints=reading.endpoints(service, slices, servers),
            observed=tuple(observed),
            operator=self._operator,
        )

    async def _world(self, owner: facts.Owner) -> tuple[list[gateways.Object], ...]:
        """(children that are ours, pods, endpoint slices): what carries our label but another owner isn't ours."""
        labels = {names.DEPLOYMENT: owner.name}
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._cluster.list(kind, owner.namespace, labels))
                for kind in (*CHILDREN, "Pod", "EndpointSlice")
            ]
        *lists, pods, slices = (task.result() for task in tasks)
        ours = [one for some in lists for one in some if controlled_by(one, owner.uid)]
        return ours, pods, slices

    async def _trial(self, job: Mapping[str, Any], pods: list[gateways.Object], *, unread: bool) -> facts.Trial:
        """A trial as its Job and pod tell it. `unread`: its report is needed and not on file yet.

        A log that can't be had now (its node is away) must not keep anything else from being decided, so the trial
        counts as running until its time-out.
        """
        state, words = reading.job(job)
        created = reading.created(job)
        own = [one for one in pods if controlled_by(one, job["metadata"]["uid"])]
        newest = max(own, key=lambda one: str(one["metadata"]["creationTimestamp"]), default=None)
        digest, error = reading.termination(newest) if newest is not None else ("", "")
        if state is not facts.JobState.SUCCEEDED:
            return facts.Trial(state=state, created_at=created, trouble=error or words)
        if not unread:
            return facts.Trial(state=state, created_at=created)
        if newest is None:
            gone = "its pod is gone, and with it the report; annotate seatrial.dev/retry to run it again"
            return facts.Trial(state=facts.JobState.FAILED, created_at=created, trouble=gone)
        try:
            line, passed = await self._report(newest, digest)
        except report.ReportError as unreadable:
            return facts.Trial(state=facts.JobState.FAILED, created_at=created, trouble=str(unreadable))
        except errors.ClusterError as away:
            trouble = f"its log can't be read: {away}"
            return facts.Trial(state=facts.JobState.RUNNING, created_at=created, trouble=trouble)
        return facts.Trial(state=state, created_at=created, report=passed, report_line=line)

    async def _report(self, pod: gateways.Object, digest: str) -> tuple[str, report.Report]:
        meta = pod["metadata"]
        log = await self._cluster.pod_log(
            meta["namespace"], meta["name"], TRIAL_CONTAINER, limit_bytes=report.MAX_BYTES + 1, tail_lines=1
        )
        return log.strip(), report.read(log, digest)


def _reports(config_maps: list[gateways.Object]) -> dict[str, report.Report]:
    """One that can't be read counts as missing: its revision needs another trial, others are not concerned."""
    found = {}
    for one in config_maps:
        try:
            found[reading.revision_of(one)] = reading.known_report(one)
        except report.ReportError as error:
            _LOG.warning("report unreadable", extra={"configmap": one["metadata"]["name"], "error": str(error)})
    return found


def owner_of(raw: Mapping[str, Any]) -> facts.Owner:
    meta = raw["metadata"]
    return facts.Owner(
        namespace=meta["namespace"], name=meta["name"], uid=meta["uid"], generation=meta.get("generation", 0)
    )


def status_of(raw: Mapping[str, Any]) -> Status:
    return msgspec.convert(raw.get("status", {}), Status)


def controlled_by(child: Mapping[str, Any], uid: str) -> bool:
    return any(one.get("uid") == uid for one in child["metadata"].get("ownerReferences", ()))


def _spec(raw: Mapping[str, Any]) -> Spec:
    try:
        return msgspec.convert(raw["spec"], Spec, dec_hook=values.decode_hook)
    except (msgspec.ValidationError, KeyError) as error:
        raise InvalidSpec(f"spec: {error}") from error


def _commands(raw: Mapping[str, Any]) -> Commands:
    """Tokens of the command annotations, cut to what status can keep."""
    annotations = raw["metadata"].get("annotations") or {}
    said = {field: str(annotations.get(names.COMMAND_PREFIX + field, ""))[:256] for field in Commands.__struct_fields__}
    return Commands(**said)
