"""From the API's JSON to facts: with `health`, the only place that digs in dicts of other kinds. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from seatrial.api import spec, values
from seatrial.control import health
from seatrial.rollout import facts, names, report, revision
from seatrial.rollout import notes as notes_

Object = Mapping[str, Any]

SERVICE_NAME = "kubernetes.io/service-name"

pod = health.read


def revision_of(child: Object) -> str:
    return _label(child, names.REVISION)


def _label(child: Object, name: str) -> str:
    return str((child["metadata"].get("labels") or {}).get(name, ""))


def created(raw: Object) -> datetime:
    return msgspec.convert(raw["metadata"]["creationTimestamp"], datetime)


def deployment(raw: Object) -> facts.Deployment:
    failure = health.condition(raw, "ReplicaFailure")
    refused = failure.get("status") == "True"
    return facts.Deployment(
        replicas=raw["spec"].get("replicas", 1), refusal=str(failure.get("message", "")) if refused else ""
    )


def endpoints(service: Object, slices: Iterable[Object], pods: Iterable[facts.Pod]) -> facts.Endpoints:
    """Where a Service sends requests.

    Slices inherit the labels of their Service, so one that somebody else made with our labels has slices like ours.
    """
    known = tuple(pods)
    by_uid = {one.uid: one.revision for one in known if one.uid}
    by_name = {one.name: one.revision for one in known}
    ready: dict[str, int] = {}
    serving: dict[str, int] = {}
    own = (one for one in slices if _of_service(one, service))
    for endpoint in (endpoint for one in own for endpoint in one.get("endpoints") or ()):
        target = endpoint.get("targetRef") or {}
        # A pod's name can be another pod's by now (its node came back, a set recreated it); a uid never is.
        whose, key = (by_uid, "uid") if "uid" in target and by_uid else (by_name, "name")
        of = whose.get(target.get(key, ""), facts.STRANGER)
        states = endpoint.get("conditions") or {}
        if states.get("ready", True):
            ready[of] = ready.get(of, 0) + 1
        if states.get("ready", True) or states.get("serving", False):
            serving[of] = serving.get(of, 0) + 1
    return facts.Endpoints(selector=service["spec"].get("selector", {}), ready=ready, serving=serving)


def _of_service(one: Object, service: Object) -> bool:
    meta = service["metadata"]
    owners = {owner.get("uid") for owner in one["metadata"].get("ownerReferences") or () if owner["kind"] == "Service"}
    return _label(one, SERVICE_NAME) == meta["name"] and (not owners or meta["uid"] in owners)


def route(raw: Object | None) -> facts.Route | None:
    """What an HTTPRoute of ours asks for, whoever wrote it, and what is said of it."""
    if raw is None:
        return None
    asked, namespace = raw["spec"], raw["metadata"]["namespace"]
    backends = [backend for rule in asked.get("rules") or () for backend in rule.get("backendRefs") or ()]
    told = (raw.get("status") or {}).get("parents") or ()
    return facts.Route(
        generation=raw["metadata"].get("generation", 0),
        asked=spec.Gateway(
            parent_refs=tuple(_parent(one) for one in asked.get("parentRefs") or ()),
            hostnames=tuple(asked.get("hostnames") or ()),
        ),
        weights={one["name"]: one.get("weight", 1) for one in backends},
        parents=tuple(
            facts.Parent(
                key=facts.ParentKey.of(_parent(one["parentRef"]), namespace),
                conditions={said["type"]: _said(said) for said in one.get("conditions") or ()},
            )
            for one in told
        ),
    )


def _parent(reference: Object) -> spec.ParentRef:
    return spec.ParentRef(
        name=reference["name"],
        namespace=reference.get("namespace"),
        section_name=reference.get("sectionName"),
    )


def _said(condition: Object) -> facts.Said:
    return facts.Said(
        status=condition["status"],
        reason=condition.get("reason", ""),
        message=condition.get("message", ""),
        generation=condition.get("observedGeneration", 0),
    )


def job(raw: Object) -> tuple[facts.JobState, str]:
    """State of a Job and, when it failed, the Job controller's words."""
    if health.condition(raw, "Complete").get("status") == "True":
        return facts.JobState.SUCCEEDED, ""
    failed = health.condition(raw, "Failed")
    if failed.get("status") == "True":
        return facts.JobState.FAILED, f"{failed.get('reason', 'Failed')}: {failed.get('message', '')}"
    return facts.JobState.RUNNING, ""


def ended(raw: Object) -> datetime | None:
    """When a Job completed or failed; None while it runs."""
    over = (one for one in (health.condition(raw, kind) for kind in ("Complete", "Failed")) if one)
    told = (one["lastTransitionTime"] for one in over if one.get("status") == "True" and "lastTransitionTime" in one)
    return next((msgspec.convert(moment, datetime) for moment in told), None)


def attempt(raw: Object) -> int | None:
    """Which try of its revision a Job was made for. Clocks of API servers differ, so its age doesn't tell."""
    said = (raw["metadata"].get("annotations") or {}).get(names.ATTEMPT, "")
    return int(said) if said.isascii() and said.isdigit() else None


def record(raw: Object) -> revision.Record:
    """With the address that its notes give.

    Raises:
        msgspec.ValidationError, KeyError, TypeError: its data isn't what this release writes.
    """
    made = msgspec.convert(
        {**raw["data"], "number": raw.get("revision", 0)}, revision.Record, dec_hook=values.decode_hook
    )
    moved = notes(raw).address
    if moved is None:
        return made
    return msgspec.structs.replace(made, uri=moved.uri, secret=moved.secret, pod_template=moved.pod_template)


def notes(raw: Object) -> notes_.Notes:
    """What is kept on a ControllerRevision beside its data; nothing where somebody has spoilt it."""
    text = (raw["metadata"].get("annotations") or {}).get(notes_.ANNOTATION, "{}")
    try:
        return notes_.read(text)
    except msgspec.MsgspecError:
        return notes_.Notes()


def noted_reports(known: Mapping[str, notes_.Notes]) -> dict[str, report.Report]:
    """The reports of passed trials that are kept on the records, by revision."""
    found = {}
    for name, own in known.items():
        line = notes_.unpack(own.passed).get("report.json", "")
        with contextlib.suppress(report.ReportError):
            found[name] = report.decode(line, report.digest_of(line))
    return found


def configured(config_maps: Iterable[Object]) -> dict[str, str]:
    """The uri that each revision's configuration names; nothing for one that can't be read."""
    return {revision_of(one): _uri(one.get("data", {}).get("config.json", "")) for one in config_maps}


def _uri(config: str) -> str:
    try:
        return str(msgspec.json.decode(config, type=dict[str, Any])["model"]["uri"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return ""


def known_report(raw: Object) -> report.Report:
    """The trial's report that a revision's ConfigMap keeps. Raises ReportError."""
    line = (raw.get("data") or {}).get("report.json", "")
    return report.decode(line, report.digest_of(line))


def report_of(raw: Object) -> report.Report | None:
    """The same; None where it is missing or can't be read."""
    try:
        return known_report(raw)
    except report.ReportError:
        return None
