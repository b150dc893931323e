"""From the API's JSON to facts of retraining: the CronJob that is the template, and the Jobs made from it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from seatrial.control import health, reading
from seatrial.rollout import facts, names
from seatrial.rollout.retraining import seen

Object = Mapping[str, Any]

GONE = "its pod is gone, and with it the result"


def is_job(raw: Object) -> bool:
    """A training Job, by its label: it belongs to no revision."""
    return names.TRAINING in (raw["metadata"].get("labels") or {})


def template(raw: Object | None, name: str) -> seen.Template:
    """What a run's Job is made from, or why none can be."""
    if raw is None or "deletionTimestamp" in raw["metadata"]:
        return seen.Template(trouble=f"CronJob {name}, which spec.retraining.cronJob names, does not exist")
    job = raw["spec"]["jobTemplate"]
    digest = hashlib.sha256(msgspec.json.encode(job, order="sorted")).hexdigest()
    if raw["spec"].get("suspend") is not True:
        words = f"CronJob {name} must have suspend: true, or its schedule runs it beside the runs that are asked for"
        return seen.Template(sha256=digest, trouble=words)
    return seen.Template(job=job, sha256=digest)


def jobs(raw: Iterable[Object], pods: Iterable[Object]) -> tuple[seen.Job, ...]:
    """Every training Job whose label can be read."""
    known = tuple(pods)
    return tuple(_job(one, known) for one in raw if _number(one) > 0)


def _number(raw: Object) -> int:
    said = str(raw["metadata"]["labels"][names.TRAINING])
    return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else 0


def _job(raw: Object, pods: tuple[Object, ...]) -> seen.Job:
    meta, notes = raw["metadata"], raw["metadata"].get("annotations") or {}
    own = [one for one in pods if _made_by(one, meta["uid"])]
    newest = max(own, key=lambda one: str(one["metadata"]["creationTimestamp"]), default=None)
    state, words = reading.job(raw)
    if state is facts.JobState.RUNNING and newest is not None and _done(raw, newest):
        state = facts.JobState.SUCCEEDED
    succeeded = state is facts.JobState.SUCCEEDED
    trouble = health.read(newest).trouble if newest is not None and not succeeded else ""
    return seen.Job(
        number=_number(raw),
        name=meta["name"],
        uid=meta["uid"],
        state=seen.JobState(state.value),
        base=str(notes.get(names.BASE, "")),
        trigger=str(notes.get(names.TRIGGER, "")),
        created_at=reading.created(raw),
        ended_at=reading.ended(raw),
        message=_message(own, str(notes.get(names.CONTAINER, ""))) if succeeded else "",
        trouble=(GONE if not own else "") if succeeded else trouble or words,
    )


def _made_by(pod: Object, uid: str) -> bool:
    return any(one.get("uid") == uid for one in pod["metadata"].get("ownerReferences") or ())


def _done(job: Object, pod: Object) -> bool:
    """Every container of the template has ended well; one that a policy injected may run on and keep the Job."""
    asked = {one["name"] for one in job["spec"]["template"]["spec"]["containers"]}
    ended = {one["name"] for one in _ended(pod) if one["state"]["terminated"].get("exitCode", 1) == 0}
    return asked <= ended


def _ended(pod: Object) -> list[Object]:
    containers = (pod.get("status") or {}).get("containerStatuses") or ()
    return [one for one in containers if "terminated" in (one.get("state") or {})]


def _message(pods: list[Object], container: str) -> str:
    """What the container said that gives the result, in the newest pod where it ended well."""
    said = [
        (str(pod["metadata"]["creationTimestamp"]), one["state"]["terminated"])
        for pod in pods
        for one in _ended(pod)
        if one["name"] == container
    ]
    good = [(at, ended) for at, ended in said if ended.get("exitCode", 1) == 0]
    return str(max(good, key=lambda one: one[0])[1].get("message", "")) if good else ""
