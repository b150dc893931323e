"""Why a run that is asked for may not start now: rules asked in order, the first that has something to say wins.

| rule               | waits                                                                                     |
| ------------------ | ----------------------------------------------------------------------------------------- |
| without_template   | while the CronJob is missing, not suspended or can't be read                                |
| stopped            | after maxAttempts runs in a row without a good version, or an abort: until somebody acts    |
| bad_data           | while values are missing, outside or unseen: an outage upstream is nothing to learn from    |
| run_under_way      | one run at a time                                                                           |
| not_adopted_yet    | while the version of the run before waits to be adopted                                     |
| answered_already   | while the same columns alarm that a run has been about, and its version is in               |
| set_aside          | while the rollback-to command holds: a person has decided                                   |
| rollout_under_way  | while a candidate or a soak exists, or the wanted version doesn't serve                     |
| not_ready          | while stable has no pod Ready                                                               |
| blind              | while it can't be seen what traffic and answers are like                                    |
| too_soon           | until minInterval after the last start, unless a token ends in /now                         |
| cooling_down       | until minInterval x 2^(n-1), 8x at most, after the n-th run in a row without a good version |
| budget_used_up     | until one of maxRuns starts is 30 days old                                                  |

Rules that protect from automation (stopped, bad_data, not_adopted_yet, answered_already, set_aside, cooling_down) don't
concern the retrain command: who gives it has seen why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from seatrial.api import spec, trained
from seatrial.api.status import Reason
from seatrial.api.trained import RunOutcome
from seatrial.rollout.decision import Case, Situation

from . import asking, seen

BUDGET = timedelta(days=30)
LONGEST = 8  # times minInterval

UNSUCCESSFUL = frozenset(
    {RunOutcome.SKIPPED, RunOutcome.FAILED, RunOutcome.REFUSED, RunOutcome.ROLLED_BACK, RunOutcome.NOT_CURED}
)


class Question(seen.Fact, frozen=True, kw_only=True):
    """May this run start?

    Attributes:
        case: what was seen, with the facts of status as this pass leaves them.
        situation: of the rollout, after this pass.
        so_far: where retraining stands after what this pass has found of earlier runs.
        base: digest of what spec.model asks for.
        asked: who asks, and why.
    """

    case: Case
    situation: Situation
    wish: spec.Retraining
    so_far: trained.Retraining
    base: str
    asked: asking.Asked


class Wait(seen.Fact, frozen=True, kw_only=True):
    """Not now. `until`: where time alone ends it."""

    reason: Reason
    message: str
    until: datetime | None = None


Rule = Callable[[Question], Wait | None]


def first(question: Question) -> Wait | None:
    """Why not; None where the run may start."""
    for rule in RULES:
        if wait := rule(question):
            return wait
    return None


def without_template(question: Question) -> Wait | None:
    template = question.case.snapshot.training.template
    if template is None:
        return Wait(reason=Reason.COOLING_DOWN, message="the CronJob has not been read yet")
    return Wait(reason=Reason.RETRAINING_FAILED, message=template.trouble) if template.trouble else None


def on_template(template: seen.Template | None, so_far: trained.Retraining) -> bool:
    """Whether another CronJob would end something: there is none to use, or runs have failed in a row, which another
    jobTemplate begins anew.
    """
    return template is None or bool(template.trouble) or so_far.attempts > 0


def stopped(question: Question) -> Wait | None:
    if question.asked.by_command or not (words := why_stopped(question.so_far, question.wish)):
        return None
    return Wait(reason=Reason.RETRAINING_STOPPED, message=words)


def why_stopped(so_far: trained.Retraining, wish: spec.Retraining) -> str:
    """Nothing while it isn't."""
    if so_far.aborted:
        return "stopped by the abort command, until seatrial.dev/retrain"
    if so_far.attempts < wish.max_attempts:
        return ""
    last = f"; the last one: {so_far.runs[0].message}" if so_far.runs else ""
    end = "stopped until seatrial.dev/retrain, another spec.model or another jobTemplate"
    return f"{so_far.attempts} runs in a row brought no good version, {end}{last}"


def bad_data(question: Question) -> Wait | None:
    invalid = question.case.snapshot.training.alarm.invalid
    if question.asked.by_command or not invalid:
        return None
    return Wait(reason=Reason.DATA_SUSPECT, message=suspect(invalid))


def suspect(invalid: Sequence[str]) -> str:
    """Said of columns with bad data."""
    return f"values of {_some(invalid)} are missing, outside or unseen: bad data is nothing to learn from"


def run_under_way(question: Question) -> Wait | None:
    """Also a Job that is nobody's any more, until it is gone."""
    runs, jobs = question.so_far.runs, question.case.snapshot.training.jobs
    running = [one.number for one in runs[:1] if one.outcome is RunOutcome.RUNNING]
    running += [one.number for one in jobs if one.state is seen.JobState.RUNNING]
    return Wait(reason=Reason.RETRAINING_STARTED, message=f"run {running[0]} is under way") if running else None


def not_adopted_yet(question: Question) -> Wait | None:
    run = _newest(question)
    if question.asked.by_command or run is None or run.outcome is not RunOutcome.TRAINED:
        return None
    known = question.case.status.trained
    if known is not None and (known.offered or known.next):
        words = f"version {run.version} of run {run.number} waits to be adopted"
    else:
        words = f"version {run.version} of run {run.number} waits for spec.model to name it"
    return Wait(reason=Reason.WAITING_FOR_APPROVAL, message=words)


def answered_already(question: Question) -> Wait | None:
    run = _newest(question)
    if run is None or run.outcome not in (RunOutcome.TRAINED, RunOutcome.PROMOTED):
        return None
    if not asking.same(question.asked, run.cause) or _alarms_again(question, run):
        return None
    words = f"run {run.number} was about the same ({_some(run.cause)}), and the alarm is from before it"
    return Wait(reason=Reason.COOLING_DOWN, message=words)


def _alarms_again(question: Question, run: trained.Run) -> bool:
    return asking.fresh(question.case.snapshot.training.alarm, run.cause, run.promoted_at or run.started_at)


def set_aside(question: Question) -> Wait | None:
    if question.asked.by_command or question.case.status.set_back is None:
        return None
    words = "the rollback-to command has set a version aside: what serves is somebody's decision"
    return Wait(reason=Reason.COOLING_DOWN, message=words)


def rollout_under_way(question: Question) -> Wait | None:
    case = question.case
    if case.candidate is not None:
        words = f"version {case.candidate.model_version} is on its way"
    elif case.soaking:
        words = "the version that serves is in its soak"
    elif case.stable is None or question.situation is not Situation.READY:
        words = "the version that is wanted does not serve"
    else:
        return None
    return Wait(reason=Reason.COOLING_DOWN, message=words)


def not_ready(question: Question) -> Wait | None:
    if question.case.somebody_else:
        return None
    return Wait(reason=Reason.COOLING_DOWN, message="the version that serves has no pod Ready")


def blind(question: Question) -> Wait | None:
    """A command is somebody's own decision: he sees other things, and a new deployment has no hour of traffic yet."""
    why = "" if question.asked.by_command else question.case.snapshot.training.alarm.blind
    return Wait(reason=Reason.COOLING_DOWN, message=f"nobody can see what serves: {why}") if why else None


def too_soon(question: Question) -> Wait | None:
    starts = question.so_far.starts
    if question.asked.at_once or not starts:
        return None
    again = starts[0] + question.wish.min_interval
    words = f"runs start {question.wish.min_interval} apart (minInterval)"
    return _until(question, again, words)


def cooling_down(question: Question) -> Wait | None:
    run, attempts = _newest(question), question.so_far.attempts
    if question.asked.by_command or run is None or not attempts or run.outcome not in UNSUCCESSFUL:
        return None
    pause = question.wish.min_interval * min(2 ** (attempts - 1), LONGEST)
    words = f"run {run.number} brought no good version ({attempts} in a row): {run.message}"
    return _until(question, (run.finished_at or run.started_at) + pause, words)


def budget_used_up(question: Question) -> Wait | None:
    recent = within_budget(question.so_far.starts, question.case.now)
    if len(recent) < question.wish.max_runs:
        return None
    words = f"{len(recent)} runs have started within 30 days (maxRuns)"
    return _until(question, recent[question.wish.max_runs - 1] + BUDGET, words)


def within_budget(starts: Sequence[datetime], now: datetime) -> tuple[datetime, ...]:
    """Starts that count, newest first."""
    return tuple(one for one in starts if now - one < BUDGET)


def _until(question: Question, again: datetime, words: str) -> Wait | None:
    return Wait(reason=Reason.COOLING_DOWN, message=words, until=again) if question.case.now < again else None


def _newest(question: Question) -> trained.Run | None:
    """The newest run, if it was made for what spec.model asks for now."""
    runs = question.so_far.runs
    return runs[0] if runs and runs[0].base == question.base else None


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


RULES: Sequence[Rule] = (
    without_template,
    stopped,
    bad_data,
    run_under_way,
    not_adopted_yet,
    answered_already,
    set_aside,
    rollout_under_way,
    not_ready,
    blind,
    too_soon,
    cooling_down,
    budget_used_up,
)
