"""Reads one ModelDeployment and its world into a snapshot: from memory, or live before what can't be undone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from seatrial import api
from seatrial.api import stored, values
from seatrial.api.spec import Spec
from seatrial.api.status import Commands, Status
from seatrial.cluster import access, errors
from seatrial.control import health, queue, reading, training
from seatrial.rollout import allowed, bounds, children, facts, names, report, revision
from seatrial.rollout import notes as notes_
from seatrial.rollout.retraining import alarms, seen

_LOG = logging.getLogger(__name__)

CHILDREN = ("ControllerRevision", "ConfigMap", "Job", "Deployment", "HTTPRoute", "Service", "PodDisruptionBudget")


class InvalidSpec(Exception):
    """The spec can't be read, although the schema let it pass; the message names the field."""


class Observer:
    """Makes snapshots. Holds connections, no state."""

    def __init__(self, *, cluster: access.Cluster, operator: facts.Operator) -> None:
        self._cluster = cluster
        self._operator = operator

    async def read(self, key: queue.Key, *, live: bool = False) -> access.Object | None:
        """The object itself; None when it is gone or going: owner references clean up."""
        cluster = self._cluster.live if live else self._cluster
        raw = await cluster.get(api.KIND, key.namespace, key.name)
        return None if raw is None or "deletionTimestamp" in raw["metadata"] else raw

    async def snapshot(self, raw: access.Object, *, live: bool = False) -> facts.Snapshot:
        """Everything a decision may rest on.

        Args:
            live: children, pods and endpoints as the API server has them now, whatever the memory says.

        Raises:
            InvalidSpec: the spec can't be read, and none that could be is on record.
            ClusterError: a read failed; nothing was decided.
        """
        owner, (status, unread_parts) = owner_of(raw), stored.read(raw.get("status", {}))
        ours, pods, slices = await self._world(owner, self._cluster.live if live else self._cluster)
        observed = [one for one in ours if one["kind"] != "Job" or not training.is_job(one)]
        of_kind = {kind: [one for one in observed if one["kind"] == kind] for kind in CHILDREN}
        of_kind["ConfigMap"] = [one for one in of_kind["ConfigMap"] if reading.revision_of(one)]
        notes = {reading.revision_of(one): reading.notes(one) for one in of_kind["ControllerRevision"]}
        wish, unreadable = _spec(raw, notes.values(), self._operator)
        records = {one.revision: one for one in _records(of_kind["ControllerRevision"])}
        content = revision.wanted(
            wish, name=owner.name, default_image=self._operator.serving_image, known=records.values()
        )
        servers = tuple(reading.pod(one) for one in pods if health.server_of(one, owner.name))
        backends = {one["metadata"]["name"]: reading.endpoints(one, slices, servers) for one in of_kind["Service"]}
        reports = {**_reports(of_kind["ConfigMap"]), **reading.noted_reports(notes)}
        unread = {one.revision for one in (status.candidate, status.stable) if one is not None} - reports.keys()
        return facts.Snapshot(
            owner=owner,
            spec=wish,
            unreadable=unreadable,
            status=status,
            commands=commands_of(raw),
            wanted=children.new_record(
                owner.name, content=content, wish=wish, known=records, defaults=self._operator.pods
            ),
            records=records,
            notes=notes,
            reports=reports,
            configured=reading.configured(of_kind["ConfigMap"]),
            trials={
                reading.revision_of(one): await self._trial(one, pods, unread=reading.revision_of(one) in unread)
                for one in of_kind["Job"]
            },
            deployments={reading.revision_of(one): reading.deployment(one) for one in of_kind["Deployment"]},
            pods=servers,
            endpoints=backends.get(owner.name),
            backends=backends,
            route=reading.route(next(iter(of_kind["HTTPRoute"]), None)),
            observed=tuple(observed),
            training=seen.Seen(
                alarm=alarms.of(status),
                template=await self._template(owner, wish, status, self._cluster.live if live else self._cluster),
                jobs=training.jobs([one for one in ours if one["kind"] == "Job" and training.is_job(one)], pods),
            ),
            unread=unread_parts,
            operator=self._operator,
        )

    async def _world(self, owner: facts.Owner, cluster: access.Cluster) -> tuple[list[access.Object], ...]:
        """(children that are ours or become it, pods, endpoint slices): what has another owner isn't ours."""
        labels = {names.DEPLOYMENT: owner.name}
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(cluster.list(kind, owner.namespace, labels))
                for kind in (*CHILDREN, "Pod", "EndpointSlice")
            ]
        *lists, pods, slices = (task.result() for task in tasks)
        ours = [one for some in lists for one in some if controlled_by(one, owner.uid) or adoptable(one, owner)]
        return ours, pods, slices

    async def _template(
        self, owner: facts.Owner, wish: Spec, status: Status, cluster: access.Cluster
    ) -> seen.Template | None:
        """The CronJob that runs are made from. A rollout under way has no use for it, and must not wait for it. One
        without the label for models isn't watched: it is asked for each time.
        """
        if wish.retraining is None or status.candidate is not None:
            return None
        name = wish.retraining.cron_job
        try:
            return training.template(await cluster.get("CronJob", owner.namespace, name), name)
        except errors.Refused as refused:
            return seen.Template(trouble=f"CronJob {name} can't be read: {refused}")
        except errors.ClusterError as away:
            _LOG.warning("template not read", extra={"cronjob": name, "error": str(away)})
            return None

    async def _trial(self, job: Mapping[str, Any], pods: list[access.Object], *, unread: bool) -> facts.Trial:
        """A trial as its Job and pod tell it. `unread`: its report is needed and not on file yet.

        A log that can't be had now (its node is away) must not keep anything else from being decided, so the trial
        counts as running until its time-out. One whose own container is done has ended, though a sidecar that
        somebody's policy injected keeps its Job running.
        """
        state, words = reading.job(job)
        own = [one for one in pods if controlled_by(one, job["metadata"]["uid"])]
        newest = max(own, key=lambda one: str(one["metadata"]["creationTimestamp"]), default=None)
        end = health.ending(newest) if newest is not None else health.Ending()
        if state is facts.JobState.RUNNING and end.done:
            state = facts.JobState.SUCCEEDED
        seen = facts.Trial(
            state=state, created_at=reading.created(job), ended_at=reading.ended(job), attempt=reading.attempt(job)
        )
        if state is not facts.JobState.SUCCEEDED:
            failed = state is facts.JobState.FAILED
            fault = (end.fault or facts.Fault.UNKNOWN) if failed else end.fault
            return msgspec.structs.replace(seen, trouble=end.error or words, fault=fault)
        return await self._with_report(seen, newest, end.digest) if unread else seen

    async def _with_report(self, seen: facts.Trial, pod: access.Object | None, digest: str) -> facts.Trial:
        if pod is None:
            gone = "its pod is gone, and with it the report; annotate seatrial.dev/retry to run it again"
            return _failed(seen, gone, facts.Fault.SURROUNDINGS)
        try:
            line, passed = await self._report(pod, digest)
        except report.ReportError as unreadable:
            return _failed(seen, str(unreadable), facts.Fault.VERSION)
        except errors.ClusterError as away:
            trouble = f"its log can't be read: {away}"
            return msgspec.structs.replace(
                seen, state=facts.JobState.RUNNING, trouble=trouble, fault=facts.Fault.SURROUNDINGS
            )
        return msgspec.structs.replace(seen, report=passed, report_line=line)

    async def _report(self, pod: access.Object, digest: str) -> tuple[str, report.Report]:
        meta = pod["metadata"]
        log = await self._cluster.pod_log(
            meta["namespace"], meta["name"], health.TRIAL, limit_bytes=report.LOG_BYTES, tail_lines=report.TAIL_LINES
        )
        return report.lines(log, digest), report.read(log, digest)


def _records(known: list[access.Object]) -> Iterator[revision.Record]:
    """One that can't be read counts as deleted: what it says of pods is lost, and nothing else is concerned."""
    for one in known:
        try:
            yield reading.record(one)
        except (msgspec.ValidationError, KeyError, TypeError) as error:
            _LOG.warning("record unreadable", extra={"record": one["metadata"]["name"], "error": str(error)})


def _reports(config_maps: list[access.Object]) -> dict[str, report.Report]:
    """One that can't be read counts as missing: its revision needs another trial, others are not concerned."""
    found = {}
    for one in config_maps:
        try:
            found[reading.revision_of(one)] = reading.known_report(one)
        except report.ReportError as error:
            _LOG.warning("report unreadable", extra={"configmap": one["metadata"]["name"], "error": str(error)})
    return found


def _failed(seen: facts.Trial, trouble: str, fault: facts.Fault) -> facts.Trial:
    return msgspec.structs.replace(seen, state=facts.JobState.FAILED, trouble=trouble, fault=fault)


def owner_of(raw: Mapping[str, Any]) -> facts.Owner:
    meta = raw["metadata"]
    return facts.Owner(
        namespace=meta["namespace"], name=meta["name"], uid=meta["uid"], generation=meta.get("generation", 0)
    )


def status_of(raw: Mapping[str, Any]) -> Status:
    return stored.read(raw.get("status", {}))[0]


def adoptable(child: Mapping[str, Any], owner: facts.Owner) -> bool:
    """Whether a child is ours by label and name, and nobody's by its owner references: its owner was deleted without
    it, or a backup brought both back. Applying it makes it ours again.

    The name of everything that belongs to a revision holds the revision, a hash over what it consists of. One whose
    reference names a dead object isn't taken: Kubernetes is about to collect it, and then it is made anew.
    """
    meta = child["metadata"]
    labels = meta.get("labels") or {}
    of = str(labels.get(names.REVISION, ""))
    expected = {names.of_revision(owner.name, of), names.of_trial(owner.name, of)} if of else names.of_whole(owner.name)
    ours = labels.get(names.MANAGED_BY) == names.MANAGER and labels.get(names.DEPLOYMENT) == owner.name
    return ours and meta["name"] in expected and not meta.get("ownerReferences") and "deletionTimestamp" not in meta


def controlled_by(child: Mapping[str, Any], uid: str) -> bool:
    return any(one.get("uid") == uid for one in child["metadata"].get("ownerReferences", ()))


def _spec(raw: Mapping[str, Any], known: Iterable[notes_.Notes], operator: facts.Operator) -> tuple[Spec, str]:
    """The spec on the object; else the last one that could be followed, and why this one can't."""
    try:
        wish = msgspec.convert(raw["spec"], Spec, dec_hook=values.decode_hook)
        unreadable = allowed.refusal(wish.serving.image, own=operator.serving_image, allow=operator.serving_images)
        if not unreadable:
            return wish, ""
    except (msgspec.ValidationError, KeyError) as error:
        unreadable = f"spec: {error}"
    kept = [one.spec for one in known if one.spec is not None]
    newest = max(kept, key=lambda one: one.generation, default=None)
    if newest is None:
        raise InvalidSpec(unreadable)
    try:
        return msgspec.convert(newest.spec, Spec, dec_hook=values.decode_hook), unreadable
    except msgspec.ValidationError as error:
        raise InvalidSpec(unreadable) from error


def commands_of(raw: Mapping[str, Any]) -> Commands:
    """Tokens of the command annotations, cut to what status can keep."""
    annotations = raw["metadata"].get("annotations") or {}
    said = {field: annotations.get(names.command(field), "") for field in Commands.__struct_fields__}
    return Commands(**{field: bounds.cut(str(token), bounds.TOKEN) for field, token in said.items()})
