"""What asks for a run: the retrain command, then quality, drift and age, as far as the spec names them."""

from __future__ import annotations

from datetime import datetime

from seatrial.api import spec
from seatrial.api.status import Stable, Status, VerdictKind
from seatrial.api.trained import CAUSES_KEPT, Trigger
from seatrial.rollout import bounds, quality
from seatrial.rollout.decision import Case

from . import seen

AT_ONCE = "/now"


class Asked(seen.Fact, frozen=True, kw_only=True):
    """A run is asked for.

    Attributes:
        cause: what the alarm is about; an alarm about the same later means that the run has not helped.
        why: for people.
        at_once: the command's token waives minInterval.
    """

    trigger: Trigger
    cause: tuple[str, ...] = ()
    why: str
    at_once: bool = False

    @property
    def by_command(self) -> bool:
        return self.trigger is Trigger.COMMAND


def of(case: Case, wish: spec.Retraining) -> Asked | None:
    """Who asks first; None while nobody does."""
    token, alarm = new_token(case), case.snapshot.training.alarm
    if token:
        return Asked(trigger=Trigger.COMMAND, why=f"the retrain command ({token})", at_once=token.endswith(AT_ONCE))
    if alarm.dropped and spec.Trigger.QUALITY in wish.triggers:
        return Asked(trigger=Trigger.QUALITY, cause=(quality.NAME,), why=alarm.dropped)
    if alarm.columns and spec.Trigger.DRIFT in wish.triggers:
        named = tuple(bounds.cut(one, bounds.SHORT) for one in alarm.columns[:CAUSES_KEPT])
        return Asked(trigger=Trigger.DRIFT, cause=named, why=alarm.words or f"drifted: {', '.join(named)}")
    due = due_by_age(case, wish)
    if due is not None and case.now >= due:
        return Asked(trigger=Trigger.AGE, why=f"the version that serves was promoted {wish.max_age} ago")
    return None


def new_token(case: Case) -> str:
    """Of the retrain command, while it has not been followed."""
    token = case.snapshot.commands.retrain
    return token if token != case.status.commands.retrain else ""


def due_by_age(case: Case, wish: spec.Retraining) -> datetime | None:
    """When the version that serves will be too old. Its bytes' age counts: another image or more memory for the same
    model, which is a revision of its own, does not make it younger.
    """
    stable = case.stable
    if stable is None or wish.max_age is None or spec.Trigger.AGE not in wish.triggers:
        return None
    return promoted(case.status, stable) + wish.max_age


def promoted(status: Status, stable: Stable) -> datetime:
    """When the bytes that serve were first promoted, as far as is known."""
    known = (one.at for one in status.verdicts if one.sha256 == stable.sha256 and one.verdict is VerdictKind.PROMOTED)
    return min([stable.since, *known])


def same(asked: Asked, cause: tuple[str, ...]) -> bool:
    """It is about nothing that an earlier run wasn't about already."""
    return bool(asked.cause) and set(asked.cause) <= set(cause)


def fresh(alarm: seen.Alarm, cause: tuple[str, ...], since: datetime) -> bool:
    """One of the causes alarms again: the alarm is newer than that moment."""
    return any(begun > since for name, begun in alarm.since.items() if name in cause)
