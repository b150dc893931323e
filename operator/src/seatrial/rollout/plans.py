"""From a decision to a plan: the status to write, the children to apply and delete, the events to post."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from seatrial.api import status
from seatrial.api.status import Status

from . import children, facts, images, looks, narrative, providing, statuses, traffic
from .decision import NOW, Case, Decision, Situation
from .retraining import course as courses
from .retraining import jobs, telling
from .rules import setting_back

SETTLE = timedelta(milliseconds=250)  # until a scrape at the very end of a slot can be read


class Plan(facts.Fact, frozen=True, kw_only=True):
    """What a pass does, in this order: status, annotations, by urgency what serves, evidence, deletions, events."""

    status: Status
    annotations: tuple[traffic.Annotation, ...] = ()
    apply: tuple[dict[str, Any], ...] = ()
    evidence: dict[str, Any] | None = None
    training: dict[str, Any] | None = None  # the Job of a run; refused or not, nothing else waits for it
    delete: tuple[children.unwanted.Deletion, ...] = ()
    events: tuple[narrative.Event, ...] = ()
    look_again: timedelta | None = None
    in_flight: bool = False
    irreversible: bool = False  # a verdict, another stable version, a run or a deletion: not on what is only remembered


def of(case: Case, decision: Decision) -> Plan:
    """The plan of a decision. A child refused in the last pass shows in the conditions; the facts go on."""
    snapshot, course = case.snapshot, courses.after(case, decision)
    decision = msgspec.structs.replace(decision, commands=course.commands, situation=courses.situation(case, decision))
    if snapshot.refused is not None:
        decision = msgspec.structs.replace(
            decision,
            situation=Situation.FAILED,
            phase=status.Phase.STALLED,
            reason=snapshot.refused.reason,
            message=snapshot.refused.message,
        )
    after = statuses.after(case, decision, course)
    delete = (*children.unwanted.of(snapshot, after), *courses.deletions(course))
    training = jobs.needed(snapshot, after.retraining)
    return Plan(
        status=after,
        annotations=traffic.assignments(snapshot, after, case.now),
        apply=children.wanted(snapshot, after, case.now),
        evidence=_evidence(case, decision),
        training=training,
        delete=delete,
        events=(
            *narrative.events(
                case.status,
                after,
                decision,
                asked=snapshot.commands,
                why_ignored=_why_ignored(case),
                instead=providing.words(snapshot),
                unread=snapshot.unread,
            ),
            *telling.events(case.status, after),
        ),
        look_again=_look_again(case, after, decision, course),
        irreversible=decision.verdict is not None
        or decision.stable != case.stable
        or bool(delete)
        or course.begins
        or training is not None,
        in_flight=after.candidate is not None or _soaking(case, after) or _draining(after),
    )


def _why_ignored(case: Case) -> dict[str, str]:
    return {
        "rollback_to": setting_back.why_not(case),
        **courses.ignored(case),
        "refresh_image": images.why_not_refreshed(case.snapshot, case.snapshot.wanted.content),
    }


def _evidence(case: Case, decision: Decision) -> dict[str, Any] | None:
    """Of a candidate that evidence against stable has rolled back, or rejected on copies."""
    look, candidate, verdict = case.look, case.candidate, decision.verdict
    on_copies = verdict is not None and verdict.reason is status.Reason.SHADOW_FAILED
    if candidate is None or look is None or look.alone or not (decision.rollback or on_copies):
        return None
    if look.outcome is not looks.Outcome.FAIL:
        return None
    return children.evidence.of(case.snapshot, candidate.revision, look)


def _draining(after: status.Status) -> bool:
    rollback, passed_on = after.last_rollback, after.traffic
    not_off = rollback is not None and rollback.zero_weight_at is None
    return not_off or (passed_on is not None and passed_on.withdrawn_at is not None)


def _look_again(case: Case, after: status.Status, decision: Decision, course: courses.Course) -> timedelta | None:
    """The earliest of the rule's wish, the next look of a soak and its end, the drain of a rollback, and what a run
    waits for.
    """
    interval = case.snapshot.spec.analysis.interval
    wishes = [decision.look_again, course.look_again, traffic.look_again(case.snapshot, after, case.now)]
    if after.stable is not None and _soaking(case, after):
        left = after.stable.since + case.snapshot.spec.rollout.soak - case.now
        wishes += [interval, left if left > NOW else None]
    if _draining(after):
        wishes.append(interval)
    if (since := _judged_since(case, after)) is not None:
        wishes.append(interval - (case.now - since) % interval + SETTLE)
    return min((wish for wish in wishes if wish is not None), default=None)


def _judged_since(case: Case, after: status.Status) -> datetime | None:
    """Where the time slots of the present window begin: a look is worth most right after one has ended."""
    if after.candidate is not None:
        return after.candidate.weight_since
    return after.stable.since if after.stable is not None and _soaking(case, after) else None


def _soaking(case: Case, after: status.Status) -> bool:
    snapshot = msgspec.structs.replace(case.snapshot, status=after)
    return msgspec.structs.replace(case, snapshot=snapshot).soaking
