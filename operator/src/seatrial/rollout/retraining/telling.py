"""What people read of retraining: state, reason and message in status, the condition, and events."""

from __future__ import annotations

from collections.abc import Iterator

from seatrial.api import spec, status, trained
from seatrial.api.status import ConditionStatus, Reason
from seatrial.api.trained import RetrainingState, RunOutcome
from seatrial.rollout import bounds, conditions, names
from seatrial.rollout.narrative import Event

from . import asking, rails
from .state import State

TRUE = frozenset({Reason.RETRAINING_STARTED, Reason.WAITING_FOR_APPROVAL, Reason.COOLING_DOWN})
UNSUCCESSFUL = rails.UNSUCCESSFUL


def resting(state: State, wish: spec.Retraining) -> State:
    """Nobody asks for a run, or one has just begun."""
    found, reason, message = _resting(state, wish)
    return _said(state, found, reason, message)


def waiting(state: State, wish: spec.Retraining, asked: asking.Asked, wait: rails.Wait) -> State:
    """A run is asked for and may not start. What is under way says more than that."""
    under_way = _under_way(state, wish)
    if under_way is not None:
        return _said(state, *under_way)
    stopped = wait.reason is Reason.RETRAINING_STOPPED
    found = RetrainingState.STOPPED if stopped else RetrainingState.WAITING
    if wait.reason in (Reason.RETRAINING_FAILED, Reason.DATA_SUSPECT):
        found = RetrainingState.IDLE
    said = _said(state, found, wait.reason, f"{asked.why}; {wait.message}" if not stopped else wait.message)
    return said.with_now(next_allowed_at=wait.until)


def _said(state: State, found: RetrainingState, reason: str, message: str) -> State:
    return state.with_now(state=found, reason=reason, message=bounds.cut(message), next_allowed_at=None)


Said = tuple[RetrainingState, str, str]


def _resting(state: State, wish: spec.Retraining) -> Said:
    return _under_way(state, wish) or _stands_still(state, wish) or _idle(state)


def _under_way(state: State, wish: spec.Retraining) -> Said | None:
    """A run, or a version on its way or waiting."""
    run, known = state.own_run, state.known
    if run is not None and run.outcome is RunOutcome.RUNNING:
        job = state.case.snapshot.training.job(run.number)
        trouble = f": {job.trouble}" if job is not None and job.trouble else ""
        return (
            RetrainingState.RUNNING,
            Reason.RETRAINING_STARTED,
            f"run {run.number} ({run.trigger}) is under way{trouble}",
        )
    if known is not None and known.next is not None:
        words = f"version {known.next.version} of run {known.next.run} is on its way"
        return RetrainingState.ADOPTING, Reason.RETRAINING_STARTED, words
    if known is not None and known.offered is not None:
        return RetrainingState.ADOPTING, Reason.WAITING_FOR_APPROVAL, _waits(known.offered, wish)
    if run is not None and run.outcome is RunOutcome.TRAINED:
        words = f"version {run.version} of run {run.number} waits for spec.model to name it"
        return RetrainingState.ADOPTING, Reason.WAITING_FOR_APPROVAL, words
    return None


def _waits(one: trained.TrainedModel, wish: spec.Retraining) -> str:
    who = f"version {one.version} of run {one.run}"
    if one.approved or wish.adopt is spec.Adopt.AUTOMATIC:
        return f"{who} begins as soon as nothing else is on its way and what is wanted serves"
    return f"{who} waits: annotate {names.command('adopt')} with {one.version}/<token> to let it begin its trial"


def _stands_still(state: State, wish: spec.Retraining) -> Said | None:
    """Nothing can start, whoever asked."""
    training, run = state.case.snapshot.training, state.own_run
    if words := rails.why_stopped(state.now, wish):
        return RetrainingState.STOPPED, Reason.RETRAINING_STOPPED, words
    if training.template is not None and training.template.trouble:
        return RetrainingState.IDLE, Reason.RETRAINING_FAILED, training.template.trouble
    if wish.triggers and training.alarm.invalid:
        words = rails.suspect(training.alarm.invalid)
        return RetrainingState.IDLE, Reason.DATA_SUSPECT, words
    if run is not None and run.outcome in UNSUCCESSFUL:
        reason = Reason.NO_NEW_MODEL if run.reason == Reason.NO_NEW_MODEL else Reason.RETRAINING_FAILED
        return RetrainingState.IDLE, reason, f"run {run.number}: {run.message}"
    return None


def _idle(state: State) -> Said:
    current = state.known.current if state.known is not None else None
    words = "nothing asks for a run"
    if current is not None:
        words += (
            f"; version {current.version} of run {current.run} takes the place of spec.model, "
            f"{names.command('unfollow')} ends that"
        )
    return RetrainingState.IDLE, Reason.RETRAINING_IDLE, words


def row(now: trained.Retraining | None) -> list[conditions.Row]:
    """The condition; none without retraining."""
    if now is None or not now.reason:
        return []
    truth = ConditionStatus.TRUE if now.reason in TRUE else ConditionStatus.FALSE
    return [(conditions.RETRAINING, truth, now.reason, now.message)]


def events(before: status.Status, after: status.Status) -> Iterator[Event]:
    """One for each step of a run, and one when nothing will start any more."""
    old, new = before.retraining or trained.Retraining(), after.retraining
    if new is None:
        return
    known = {one.number: one for one in old.runs}
    for run in reversed(new.runs):
        was = known.get(run.number)
        if was is None and run.number > max(known, default=0) and run.outcome is RunOutcome.RUNNING:
            yield Event(reason=Reason.RETRAINING_STARTED, message=f"run {run.number} ({run.trigger}): {run.message}")
        elif was is not None and was.outcome is not run.outcome:
            yield from _ended(run)
    if new.state is RetrainingState.STOPPED and old.state is not RetrainingState.STOPPED:
        yield Event(reason=Reason.RETRAINING_STOPPED, message=new.message, warning=True)
    if new.reason == Reason.DATA_SUSPECT != old.reason:
        yield Event(reason=Reason.DATA_SUSPECT, message=new.message, warning=True)


def _ended(run: trained.Run) -> Iterator[Event]:
    """What the rollout decides of a version has its own event."""
    if run.outcome is RunOutcome.TRAINED:
        yield Event(reason=Reason.MODEL_TRAINED, message=f"run {run.number} {run.message}")
    elif run.outcome in (RunOutcome.FAILED, RunOutcome.SKIPPED, RunOutcome.NOT_CURED):
        reason = Reason.NO_NEW_MODEL if run.reason == Reason.NO_NEW_MODEL else Reason.RETRAINING_FAILED
        yield Event(reason=reason, message=f"run {run.number}: {run.message}", warning=True)
    elif run.outcome is RunOutcome.SUPERSEDED:
        yield Event(reason=Reason.SUPERSEDED, message=f"run {run.number}: {run.message}")
