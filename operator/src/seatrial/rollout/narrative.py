"""Events: one for each decision, read off the difference between two statuses. Never the only record of anything."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence

from seatrial.api import spec, status
from seatrial.api import stage as stages
from seatrial.api.status import Reason, VerdictKind

from . import conditions, facts, names
from .decision import Decision

NOTEWORTHY = frozenset(
    {
        Reason.METRICS_UNAVAILABLE,
        Reason.STABLE_ALSO_BREACHING,
        Reason.REGRESSION_SUSPECTED,
        Reason.CHILD_REFUSED,
    }
)
OVEREXPOSED = 2.0  # measured share over asked weight that is worth a word


class Happening(enum.StrEnum):
    """Reasons of events that no condition and no verdict has."""

    TRAFFIC_RESTORED = "TrafficRestored"
    OVEREXPOSED = "Overexposed"
    NOT_ROUTED = "NotRouted"
    PROVIDER_UNAVAILABLE = "ProviderUnavailable"
    STATUS_UNREAD = "StatusUnread"


HAPPENINGS: Mapping[Happening, str] = {
    Happening.TRAFFIC_RESTORED: "A version that was rolled back has no traffic any more; says how long that took.",
    Happening.OVEREXPOSED: "With provider Service the candidate gets more than twice the share that was asked for.",
    Happening.NOT_ROUTED: "A route that was in force no longer is, though nothing else was asked for.",
    Happening.PROVIDER_UNAVAILABLE: "Another traffic provider shares the requests out than the one asked for.",
    Happening.STATUS_UNREAD: "The stored status had parts of another release, which are left out.",
}


class Event(facts.Fact, frozen=True, kw_only=True):
    """A Kubernetes event on the ModelDeployment."""

    reason: Reason | Happening
    message: str
    warning: bool = False


def events(
    before: status.Status,
    after: status.Status,
    decision: Decision,
    *,
    asked: status.Commands,
    why_ignored: Mapping[str, str] = {},
    instead: str = "",
    unread: Sequence[str] = (),
) -> tuple[Event, ...]:
    """What became different, in the order a reader wants it.

    Args:
        why_ignored: by field of `Commands`, what to say if that token comes to nothing.
        instead: why another traffic provider shares the requests out than the one asked for.
        unread: parts of the stored status that could not be read.
    """
    ignored = _ignored(before, after, decision, asked, why_ignored)
    return (*_unread(unread), *_events(before, after, decision), *_instead(before, after, instead), *ignored)


def _instead(before: status.Status, after: status.Status, why: str) -> Iterator[Event]:
    """Said once a rollout: when its pods are asked for."""
    if why and after.candidate is not None and after.candidate.provider and not _provided(before, after.candidate):
        yield Event(reason=Happening.PROVIDER_UNAVAILABLE, message=why, warning=True)


def _provided(before: status.Status, now: status.Candidate) -> bool:
    was = before.candidate
    return was is not None and (was.revision, was.provider) == (now.revision, now.provider)


def _unread(parts: Sequence[str]) -> Iterator[Event]:
    """Said once: the status that is written now can be read whole again."""
    if parts:
        words = f"status has parts of another release that can't be read: {', '.join(parts)}; they are left out"
        yield Event(reason=Happening.STATUS_UNREAD, message=words, warning=True)


def _ignored(
    before: status.Status,
    after: status.Status,
    decision: Decision,
    asked: status.Commands,
    why_ignored: Mapping[str, str],
) -> Iterator[Event]:
    """Tokens that are handled without anything having come of them: there was nothing that they could mean."""
    for field in status.Commands.__struct_fields__:
        token = getattr(asked, field)
        new = token and token == getattr(after.commands, field) != getattr(before.commands, field)
        if new and getattr(decision.commands, field) != token:
            why = why_ignored.get(field) or f"came when there was nothing to {field}"
            message = f"{names.command(field)}: {token} {why}"
            yield Event(reason=Reason.COMMAND_IGNORED, message=message, warning=True)


def _events(before: status.Status, after: status.Status, decision: Decision) -> Iterator[Event]:
    if decision.verdict is not None:
        verdict = decision.verdict
        rolled_back = decision.rollback is not None
        yield Event(
            reason=Reason.ROLLED_BACK if rolled_back else verdict.reason,
            message=_about(verdict),
            warning=verdict.verdict is VerdictKind.REJECTED,
        )
    now = after.last_rollback
    if now is not None and now.seconds is not None and _just_drained(before.last_rollback, now):
        yield Event(
            reason=Happening.TRAFFIC_RESTORED,
            message=f"{now.source} has no traffic, {now.seconds:.1f} s after the breach was visible",
        )
    if after.candidate is not None and _moved(before.candidate, after.candidate):
        yield Event(reason=decision.reason, message=decision.message, warning=decision.rollback is not None)
    elif decision.reason in NOTEWORTHY and _reason(before) != decision.reason:
        yield Event(reason=decision.reason, message=decision.message, warning=True)
    if after.candidate is not None and after.candidate.shift and not (before.candidate and before.candidate.shift):
        yield Event(reason=Reason.ANSWERS_SHIFTED, message=after.candidate.shift, warning=True)
    if lost := _derailed(before, after):
        yield Event(reason=Happening.NOT_ROUTED, message=lost, warning=True)
    if _overexposed(after) and not _overexposed(before):
        share = after.traffic.measured_share if after.traffic else ""
        yield Event(
            reason=Happening.OVEREXPOSED,
            message=f"the candidate gets {share} of the requests, {after.traffic and after.traffic.desired_weight}% "
            "were asked for: with provider Service the share follows the number of pods; more replicas make it finer",
            warning=True,
        )


def _about(verdict: status.Verdict) -> str:
    """Why a version was rejected doesn't name it; the other verdicts' messages do."""
    if verdict.verdict is not VerdictKind.REJECTED:
        return verdict.message
    return f"version {verdict.model_version} ({verdict.revision}): {verdict.message}"


def promoted(before: status.Status, after: status.Status) -> bool:
    """A candidate became stable in this pass."""
    was, now = before.stable, after.stable
    return now is not None and (was is None or was.revision != now.revision) and before.candidate is not None


def _just_drained(before: status.Rollback | None, after: status.Rollback) -> bool:
    return after.zero_weight_at is not None and (before is None or before.zero_weight_at is None)


def _moved(before: status.Candidate | None, after: status.Candidate) -> bool:
    """The candidate is new, reached another stage, or is held or let go."""
    if before is None or before.revision != after.revision:
        return True
    return _stage(before) != _stage(after)


def _stage(of: status.Candidate) -> tuple[object, ...]:
    stage, held = stages.of(of), of.hold is not None
    if isinstance(stage, stages.Step):
        return type(stage), held, stage.number, stage.weight, stage.shadow, stage.waiting_for_approval
    return type(stage), held, of.weight, of.trial_attempt


def _derailed(before: status.Status, after: status.Status) -> str:
    """How a route that was in force no longer is, though nothing else was asked for: lost, overwritten, or refused."""
    was, now = _condition(before, conditions.ROUTED), _condition(after, conditions.ROUTED)
    if was is None or now is None or now.reason != spec.Provider.GATEWAY_API or _asked(before) != _asked(after):
        return ""
    flipped = (was.status, now.status) == (status.ConditionStatus.TRUE, status.ConditionStatus.FALSE)
    return now.message if flipped else ""


def _asked(of: status.Status) -> tuple[object, ...]:
    candidate, stable = of.candidate, of.stable
    shared = (candidate.revision, candidate.weight) if candidate is not None else None
    return of.observed_generation, shared, stable and stable.revision


def _reason(of: status.Status) -> str:
    ready = _condition(of, conditions.READY)
    return ready.reason if ready is not None else ""


def _condition(of: status.Status, kind: str) -> status.Condition | None:
    return next((condition for condition in of.conditions if condition.type == kind), None)


def _overexposed(of: status.Status) -> bool:
    traffic = of.traffic
    if traffic is None or traffic.provider != spec.Provider.SERVICE or not traffic.desired_weight:
        return False
    return (traffic.measured or 0.0) > OVEREXPOSED * traffic.desired_weight
