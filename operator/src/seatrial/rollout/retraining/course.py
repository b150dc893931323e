"""Where a pass leaves retraining: what became of the runs and their versions, what is adopted, whether a run starts.

    asked for -> Running -> Trained -> (offered) -> next: trial, canary, soak -> Promoted (current)
                    |          \\-> Refused, RolledBack          \\-> NotCured, when the same alarms again
                    \\-> Skipped, Failed; Superseded

Each part takes the state that the one before left, and the decision on the rollout that this pass has made. Everything
is written in one status, before the Job that it asks for is made: an operator that dies in between finds the intent.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from seatrial.api import spec, trained, values
from seatrial.api.status import Commands
from seatrial.api.trained import RunOutcome
from seatrial.rollout import facts
from seatrial.rollout.children import unwanted
from seatrial.rollout.decision import NOW, Case, Decision, Situation

from . import adoption, asking, overlay, rails, runs, seen, telling
from .state import State

UNWATCHED = timedelta(minutes=1)
"""Until the CronJob is read again where a change of it would end something: without the label for models it isn't
watched, nor where CronJobs can't be listed.
"""
DELETED = timedelta(seconds=5)
"""After one's own deletion of a Job, of which the watch tells nobody, and which may have had no pod."""


class Course(seen.Fact, frozen=True, kw_only=True):
    """What a pass does about retraining.

    Attributes:
        known: trained versions, as status shall name them.
        commands: tokens that something has come of are handled in it.
        stale: Jobs that run for nobody.
        begins: a run or an adoption begins: not on what is only remembered.
    """

    known: trained.Trained | None
    retraining: trained.Retraining | None
    commands: Commands
    stale: tuple[seen.Job, ...] = ()
    begins: bool = False
    look_again: timedelta | None = None


def after(case: Case, decision: Decision) -> Course:
    """The course after this pass's decision on the rollout."""
    wish, before = _in_hours(case.snapshot), case.status.retraining
    base = overlay.base_of(overlay.asked_for(case.snapshot))
    state = State(
        case=_as_left(case, decision),
        decision=decision,
        wish=wish,
        base=base,
        digest=overlay.digest_of(base),
        known=case.status.trained,
        now=before or trained.Retraining(),
    )
    if wish is None:
        return _off(state, before)
    for part in (runs.renewed, runs.found, runs.judged, runs.progressed, adoption.adopted, runs.cured):
        state = part(state)
    state, until = _begun(state, wish)
    return Course(
        known=state.known,
        retraining=state.now,
        commands=state.handled(asking.new_token(case)),
        stale=_stale(case, state.now.runs),
        begins=_number(state.now) != _number(before) or _next(state.known) != _next(case.status.trained),
        look_again=_look_again(case, state, until),
    )


def _in_hours(snapshot: facts.Snapshot) -> spec.Retraining | None:
    """What the spec asks for; in tests with hours as short as those of drift."""
    wish, part = snapshot.spec.retraining, snapshot.operator.hour / facts.HOUR
    if wish is None or part == 1:
        return wish
    age = wish.max_age
    return msgspec.structs.replace(
        wish,
        min_interval=values.Duration.of(part * wish.min_interval),
        max_age=None if age is None else values.Duration.of(part * age),
    )


def _as_left(case: Case, decision: Decision) -> Case:
    """The case with the facts of status as the decision leaves them."""
    status = msgspec.structs.replace(
        case.status,
        stable=decision.stable,
        previous=decision.previous,
        candidate=decision.candidate,
        set_back=decision.set_back,
    )
    snapshot = msgspec.structs.replace(case.snapshot, status=status)
    return msgspec.structs.replace(case, snapshot=snapshot)


def _off(state: State, before: trained.Retraining | None) -> Course:
    """The spec has no retraining: no run goes on, none begins; what has been adopted stays until spec.model changes."""
    state = adoption.settled(runs.judged(state))
    now = before
    if before is not None:
        state = runs.given_up(state, RunOutcome.SUPERSEDED, "spec.retraining was taken away")
        now = msgspec.structs.replace(
            state.now, state=trained.RetrainingState.IDLE, reason="", message="", next_allowed_at=None
        )
    known = state.known and msgspec.structs.replace(state.known, offered=None)
    return Course(
        known=known,
        retraining=now,
        commands=state.decision.commands,
        stale=_stale(state.case, now.runs if now is not None else ()),
    )


def _begun(state: State, wish: spec.Retraining) -> tuple[State, datetime | None]:
    """A run begins, or it is said why none does; and until when that holds by itself."""
    asked = asking.of(state.case, wish) if not state.case.snapshot.unreadable else None
    if asked is None:
        return telling.resting(state, wish), asking.due_by_age(state.case, wish)
    if asked.by_command:
        state = state.with_now(attempts=0, aborted=False)
    question = rails.Question(
        case=state.case,
        situation=_situation(state),
        wish=wish,
        so_far=state.now,
        base=state.digest,
        asked=asked,
    )
    wait = rails.first(question)
    if wait is not None:
        return telling.waiting(state, wish, asked, wait), wait.until
    return telling.resting(runs.begun(state, asked), wish), None


def _situation(state: State) -> Situation:
    """A version that was just adopted is on its way, though its trial begins with the next pass."""
    moved = _next(state.known) is not None
    return Situation.PROGRESSING if moved else state.decision.situation


def _stale(case: Case, known: Iterable[trained.Run]) -> tuple[seen.Job, ...]:
    wanted = {one.number for one in known if one.outcome is RunOutcome.RUNNING}
    jobs = case.snapshot.training.jobs
    return tuple(one for one in jobs if one.state is seen.JobState.RUNNING and one.number not in wanted)


def _look_again(case: Case, state: State, until: datetime | None) -> timedelta | None:
    moments = [until, runs.deadline(state)]
    waits = [one - case.now for one in moments if one is not None and one > case.now]
    if _next(state.known) != _next(case.status.trained):
        waits.append(NOW)
    if rails.on_template(case.snapshot.training.template, state.now):
        waits.append(UNWATCHED)
    if _stale(case, state.now.runs):
        waits.append(DELETED)
    return min(waits, default=None)


def _number(now: trained.Retraining | None) -> int:
    return now.runs[0].number if now is not None and now.runs else 0


def _next(known: trained.Trained | None) -> trained.TrainedModel | None:
    return known.next if known is not None else None


def situation(case: Case, decision: Decision) -> Situation:
    """Nobody has asked for a trained version in the spec, so its failure is not the object's: what was wanted before
    goes on, and is what the next pass finds.
    """
    if decision.situation is not Situation.FAILED or case.snapshot.unreadable or decision.set_back is not None:
        return decision.situation
    stable = case.stable
    failed = decision.verdict or (stable if stable is not None and stable.breach is not None else None)
    digest = overlay.digest_of(overlay.base_of(overlay.asked_for(case.snapshot)))
    known = case.status.retraining or trained.Retraining()
    made = {one.sha256 for one in known.runs if one.base == digest and one.sha256}
    return Situation.PROGRESSING if failed is not None and failed.sha256 in made else decision.situation


def deletions(course: Course) -> tuple[unwanted.Deletion, ...]:
    """Jobs that run for nobody."""
    return tuple(unwanted.Deletion(kind="Job", name=one.name, uid=one.uid) for one in course.stale)


def ignored(case: Case) -> dict[str, str]:
    """By field of `Commands`: what to say if that token comes to nothing."""
    if case.snapshot.spec.retraining is None:
        return dict.fromkeys(("retrain", "adopt"), "changes nothing: the spec has no retraining")
    return {"adopt": adoption.why_not(case), "unfollow": "changes nothing: no trained version is followed"}
