"""Provider `Relay`: the stable pods pass on exactly the share asked for, request by request.

The Service stays on stable until promotion. What a stable pod passes on to whom is an annotation of the pod, its
assignment, which it reads as a file; it ends by itself when nobody renews it. So three things are told apart here: what
is asked of each pod, what its annotation says, and what its server reports to do.

Nothing is on its way to a revision any more once no annotation names it and every pod that may have followed one says
so. A pod that can't be asked is believed when its assignment must have ended by the slowest clock.

A kubelet can lose a change: one that comes while it still writes the file for the change before waits for its next
look at the pod, a minute or more (volumemanager, `AddPodToVolume` takes back `remountRequired`). Only another change
makes it look, so a pod that does not do as its annotation says is told once more: the lease is renewed, and where there
is nothing to say, in blanks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from seatrial.api import spec, status
from seatrial.api import stage as stages
from seatrial.rollout import facts, templates

from . import assignment, service

Object = dict[str, Any]

SKEW = timedelta(seconds=30)  # by which that clock may be behind
GONE_AFTER = assignment.LEASE + assignment.TOLERANCE + SKEW
UNTOLD = timedelta(seconds=10)  # until a pod that never told of an assignment can't be about to follow it
ASKED_AGAIN = timedelta(seconds=5)  # even if no report rings: they may not answer at all
HEARD = timedelta(seconds=2)  # in which a pod usually does as its annotation says
NUDGES = tuple(timedelta(seconds=2**number) for number in range(7))  # after withdrawal, for who goes on all the same


class Annotation(facts.Fact, frozen=True, kw_only=True):
    """What the annotation of one pod becomes; None: it goes."""

    pod: str
    uid: str
    text: str | None


def capacity(weight: int, replicas: int, *, shadow: int = 0) -> int:
    """Its part of what stable's pods can answer."""
    hundredths = 100 * weight + shadow * (100 - weight)
    return min(replicas, max(1, -(-replicas * hundredths // 10_000)))


def objects(snapshot: facts.Snapshot, after: status.Status) -> Iterator[Object]:
    """The Service, on stable until the candidate has all traffic."""
    return service.objects(snapshot, _selected(snapshot, after))


def in_force(snapshot: facts.Snapshot, after: status.Status) -> bool:
    """The Service leads where it should; each stable pod that is Ready has its assignment, and none says otherwise."""
    if not service.in_force(snapshot, _selected(snapshot, after)):
        return False
    candidate, asked = after.candidate, assigned(snapshot, after)
    if candidate is None or candidate.weight == 100 or not _given(snapshot, after):
        return True
    return asked is not None and all(_follows(pod, asked) for pod in _stable(snapshot, after) if pod.ready)


def routed(snapshot: facts.Snapshot, after: status.Status) -> tuple[bool, str] | None:
    """Of the Service, and of the pods that pass on."""
    told = service.routed(snapshot, _selected(snapshot, after))
    if told is None or not told[0] or not _given(snapshot, after):
        return told
    asked = assigned(snapshot, after)
    pods = [pod for pod in _stable(snapshot, after) if pod.ready]
    if asked is None:
        return False, "no pod of the candidate is Ready, so stable's pods keep every request"
    following = sum(_follows(pod, asked) for pod in pods)
    copies = f" and copies of {asked.shadow:g}%" if asked.shadow else ""
    words = f"{following} of {len(pods)} stable pods pass on {asked.weight:g}%{copies} to {len(asked.to)} pods"
    return following == len(pods), words


def drained(snapshot: facts.Snapshot, after: status.Status, revision: str) -> bool:
    """As far as the Service goes; see `let_go` for the rest."""
    return service.drained(snapshot, _selected(snapshot, after), revision)


off = service.off


def assignments(snapshot: facts.Snapshot, after: status.Status, now: datetime) -> tuple[Annotation, ...]:
    """The annotations that have to change, those that end something first.

    Of a pod that is leaving an assignment isn't renewed, but taken away like any other.
    """
    asked, stable = assigned(snapshot, after), after.stable
    ended: list[Annotation] = []
    given: list[Annotation] = []
    for pod in (one for one in snapshot.pods if not one.failed):
        theirs = asked if stable is not None and pod.revision == stable.revision else None
        if theirs is not None and not pod.alive and names(pod, theirs.revision):
            continue
        if theirs is not None and pod.alive:
            text = assignment.renewed(pod.assignment, theirs, now, unheard=_unheard(pod, theirs))
            if text != pod.assignment:
                given.append(Annotation(pod=pod.name, uid=pod.uid, text=text))
        elif (blanks := _blanks(snapshot, after, pod, now)) != pod.assignment:
            ended.append(Annotation(pod=pod.name, uid=pod.uid, text=blanks or None))
    return (*ended, *given)


def _unheard(pod: facts.Pod, asked: assignment.Assignment) -> bool:
    """It has had time to follow what its annotation says, and says that it doesn't."""
    said = assignment.read(pod.assignment)
    written = assignment.written(said) if said is not None else None
    if written is None or pod.relay is None or pod.relay.at < written + HEARD:
        return False
    return not _says(pod.relay, asked)


def _blanks(snapshot: facts.Snapshot, after: status.Status, pod: facts.Pod, now: datetime) -> str:
    """What the annotation of a pod that passes on nothing is to be: nothing; one blank more for each nudge that is due,
    where it says that it has not stopped.
    """
    told = after.traffic or snapshot.status.traffic
    if pod.assignment.strip() or pod.relay is None or told is None or told.withdrawn_at is None:
        return ""
    goes_on, since = pod.relay.ratio.get(told.relayed), told.withdrawn_at
    if not goes_on or pod.relay.at < since + NUDGES[0]:
        return ""
    return " " * sum(since + one <= now for one in NUDGES)


def look_again(snapshot: facts.Snapshot, after: status.Status, now: datetime) -> timedelta | None:
    """When an assignment has to be renewed, or the pods be asked again whether they have let go."""
    if after.traffic is not None and after.traffic.withdrawn_at is not None:
        nudges = (after.traffic.withdrawn_at + one - now for one in NUDGES)
        return min(ASKED_AGAIN, *(one for one in nudges if one > timedelta(0)), ASKED_AGAIN)
    asked = assigned(snapshot, after)
    if asked is None:
        return None
    said = (assignment.read(assignment.renewed(pod.assignment, asked, now)) for pod in _stable(snapshot, after))
    ends = [until for until in (assignment.moment(one.until) for one in said if one is not None) if until is not None]
    return max(min(ends, default=now + assignment.LEASE) - assignment.LEASE / 2 - now, timedelta(seconds=1))


def assigned(snapshot: facts.Snapshot, after: status.Status) -> assignment.Assignment | None:
    """What every stable pod is asked to do, but for the end of the lease; None where all is kept."""
    candidate = after.candidate
    if candidate is None or not _given(snapshot, after):
        return None
    ready = [pod.ip for pod in snapshot.pods if pod.revision == candidate.revision and pod.ready and pod.alive]
    targets = tuple(sorted({ip for ip in ready if ip})[: assignment.MOST_TARGETS])
    if not targets:
        return None
    wish, record = snapshot.spec.rollout.traffic, snapshot.known.get(candidate.revision)
    return assignment.Assignment(
        deployment=f"{snapshot.owner.namespace}/{snapshot.owner.name}",
        revision=candidate.revision,
        to=targets,
        weight=float(candidate.weight),
        token=assignment.token(snapshot.owner),
        shadow=float(candidate.shadow) if candidate.shadow else None,
        sticky=wish.sticky,
        tls=record is not None and record.content.tls is not None,
        cover=wish.cover,
        cover_after=wish.cover_after.total_seconds() if wish.cover_after else None,
        trust_client_choice=wish.trust_client_choice,
    )


def passing_on(snapshot: facts.Snapshot, after: status.Status, now: datetime) -> tuple[str, datetime | None]:
    """For `status.traffic`: the revision that is passed on to, or was and not every pod has stopped; and since when it
    is no longer asked for.
    """
    if after.candidate is not None and _given(snapshot, after):
        return after.candidate.revision, None
    before = snapshot.status.traffic
    if before is not None and before.relayed and not let_go(snapshot, before.relayed, now, answered=True):
        return before.relayed, before.withdrawn_at or now
    unnoted = _unnoted(snapshot)
    return unnoted, now if unnoted else None


def _unnoted(snapshot: facts.Snapshot) -> str:
    """A revision that an annotation names although no status says so: an older operator has written the status since,
    or somebody the annotation.
    """
    said = ((pod, assignment.read(pod.assignment)) for pod in snapshot.pods if not pod.failed)
    named = (one.revision for pod, one in said if one is not None and one.revision != pod.revision)
    return next((revision for revision in named if snapshot.has_pods(revision)), "")


def let_go(snapshot: facts.Snapshot, revision: str, now: datetime, *, answered: bool) -> bool:
    """No pod passes a request on to the revision any more; `answered`: and none waits for an answer of it."""
    before = snapshot.status.traffic
    others = [pod for pod in snapshot.pods if pod.revision != revision and not pod.failed and pod.ip]
    if before is None or before.relayed != revision:  # so it is with the status of an operator that knew no relay
        return not any(names(pod, revision) for pod in others)
    since = before.withdrawn_at
    if since is None:
        return False
    if now - since >= GONE_AFTER:
        return True
    return all(_has_let_go(pod, revision, since, answered=answered) for pod in others)


def unable(snapshot: facts.Snapshot) -> str:
    """Why this stable version can't pass requests on to this candidate; nothing where it can."""
    for one in (snapshot.status.stable, snapshot.status.candidate):
        if one is None:
            continue
        record = snapshot.known.get(one.revision)
        if record is not None and not templates.relays(record.pod_template):
            return f"the pods of version {one.model_version} were made by an operator that knew no relay"
        if any(pod.relay is not None and not pod.relay.able for pod in snapshot.pods if pod.revision == one.revision):
            return f"the serving image of version {one.model_version} has no relay"
    return ""


def asked_pods(snapshot: facts.Snapshot) -> tuple[facts.Pod, ...]:
    """Pods whose reports are worth having now: of a rollout that has begun, and until everybody has let go."""
    before, candidate = snapshot.status.traffic, snapshot.status.candidate
    begun = (
        snapshot.provider is spec.Provider.RELAY
        and candidate is not None
        and isinstance(stages.of(candidate), stages.Starting | stages.Step | stages.Promoting)
    )
    if not (before is not None and before.relayed) and not begun:
        return ()
    return tuple(pod for pod in snapshot.pods if pod.ip and not pod.failed)


def names(pod: facts.Pod, revision: str) -> bool:
    """The pod's annotation tells it to pass on to the revision."""
    said = assignment.read(pod.assignment)
    return said is not None and said.revision == revision


def _given(snapshot: facts.Snapshot, after: status.Status) -> bool:
    """A rollout under way has a share or copies, and it is this provider's."""
    candidate = after.candidate
    if snapshot.provider is not spec.Provider.RELAY or after.stable is None or candidate is None:
        return False
    if not (candidate.weight or candidate.shadow):
        return False
    return isinstance(stages.of(candidate), stages.Step | stages.Promoting)


def _selected(snapshot: facts.Snapshot, after: status.Status) -> status.Status:
    """The status as the Service's selector is to follow it: all or nothing. Where stable has no pod Ready, a candidate
    that has a share answers: nobody passes anything on then, and nobody else is there.
    """
    stable, candidate = after.stable, after.candidate
    if stable is None or candidate is None or candidate.weight in (0, 100):
        return after
    if not snapshot.ready(stable.revision) and snapshot.ready(candidate.revision):
        return after
    return msgspec.structs.replace(after, candidate=msgspec.structs.replace(candidate, weight=0))


def _stable(snapshot: facts.Snapshot, after: status.Status) -> list[facts.Pod]:
    stable = after.stable
    return [pod for pod in snapshot.pods if stable is not None and pod.revision == stable.revision and pod.alive]


def _follows(pod: facts.Pod, asked: assignment.Assignment) -> bool:
    """Its annotation says what is asked, and its server doesn't say that it does something else."""
    said = assignment.read(pod.assignment)
    if said is None or msgspec.structs.replace(said, until="") != asked:
        return False
    return pod.relay is None or _says(pod.relay, asked)


def _says(report: facts.RelayReport, asked: assignment.Assignment) -> bool:
    return math.isclose(report.ratio.get(asked.revision, 0.0), asked.weight / 100, abs_tol=1e-6)


def _has_let_go(pod: facts.Pod, revision: str, since: datetime, *, answered: bool) -> bool:
    report = pod.relay
    if names(pod, revision):
        return False
    if report is None or report.at < since or (answered and report.in_flight):
        return False
    told = report.ratio.get(revision)
    return told == 0 if told is not None else report.at >= since + UNTOLD
