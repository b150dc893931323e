"""One run after another: renewed, found again, judged by the rollout, read at its end, begun.

`attempts` counts runs in a row without a good version. A promoted version ends the row only once it is clear that it
has helped: until then the alarm may come back, and a loop that succeeds without effect must stop as well.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from seatrial.api import trained
from seatrial.api.status import Reason, Verdict, VerdictKind
from seatrial.api.trained import RunOutcome, Trigger
from seatrial.rollout import bounds
from seatrial.rollout.rules import wishes

from . import adoption, asking, overlay, rails, results, seen
from .state import State

LATE = timedelta(minutes=10)  # after its time-out: the Job controller ends it by itself before
SEASON = timedelta(days=7)  # an alarm may take a week to see that nothing has changed
FAILURES = rails.UNSUCCESSFUL


def renewed(state: State) -> State:
    """Another spec.model or another jobTemplate begins a new row, and the retrain command does. What was made for
    another spec.model counts no more.
    """
    state = _of_another_base(state)
    template = state.case.snapshot.training.template
    known, found = state.now.template_sha256, template.sha256 if template is not None else ""
    if found and found != known:
        state = state.with_now(template_sha256=found, attempts=0 if known else state.now.attempts)
    return state


def _of_another_base(state: State) -> State:
    run = state.run
    if run is None or run.base == state.digest:
        return state
    state = state.with_now(attempts=0)
    if run.outcome is RunOutcome.RUNNING or (run.outcome is RunOutcome.TRAINED and run.sha256 != state.base.sha256):
        return given_up(state, RunOutcome.SUPERSEDED, "spec.model was changed meanwhile")
    return state


def given_up(state: State, outcome: RunOutcome, words: str) -> State:
    """A run that nobody waits for ends without being counted as an attempt."""
    run = state.run
    if run is None or run.outcome not in (RunOutcome.RUNNING, RunOutcome.TRAINED):
        return state
    return _ended(state, outcome, words)


def found(state: State) -> State:
    """A Job that runs for the spec.model of now, and that status doesn't know (somebody has lost it), is the present
    run: else there would be two.
    """
    newest = max((one.number for one in state.now.runs), default=0)
    running = [
        one
        for one in state.case.snapshot.training.jobs
        if one.state is seen.JobState.RUNNING and one.number > newest and one.base == state.digest
    ]
    if not running or (state.run is not None and state.run.outcome is RunOutcome.RUNNING):
        return state
    job = max(running, key=lambda one: one.number)
    trigger = next((one for one in Trigger if one.value == job.trigger), Trigger.COMMAND)
    run = trained.Run(number=job.number, trigger=trigger, base=state.digest, job=job.name, started_at=job.created_at)
    return _with_new(state, run, starts=True)


def judged(state: State) -> State:
    """What the rollout has decided of a run's version in this pass, by the digest of its bytes."""
    verdict = state.decision.verdict
    if verdict is None:
        return state
    changed = tuple(_judged(state, one, verdict) for one in state.now.runs)
    failed = any(
        now.outcome in FAILURES and before.outcome not in FAILURES
        for before, now in zip(state.now.runs, changed, strict=True)
    )
    state = state.with_now(runs=changed, attempts=state.now.attempts + failed)
    return adoption.refused(state, verdict) if verdict.verdict is VerdictKind.REJECTED else state


def _judged(state: State, run: trained.Run, verdict: Verdict) -> trained.Run:
    open_ = run.outcome in (RunOutcome.TRAINED, RunOutcome.PROMOTED)
    if not run.sha256 or run.sha256 != verdict.sha256 or not open_:
        return run
    if verdict.verdict is VerdictKind.PROMOTED:
        return _of(
            run, outcome=RunOutcome.PROMOTED, promoted_at=state.case.now, message=f"version {run.version} serves"
        )
    if verdict.verdict is not VerdictKind.REJECTED:
        return run
    in_trial = verdict.reason in wishes.UNSERVED or verdict.reason is Reason.BASELINE_UNAVAILABLE
    return _of(
        run,
        outcome=RunOutcome.REFUSED if in_trial else RunOutcome.ROLLED_BACK,
        reason=verdict.reason,
        message=bounds.cut(f"version {run.version}: {verdict.message}", bounds.SHORT),
    )


def progressed(state: State) -> State:
    """What the run's Job has come to."""
    run, training = state.run, state.case.snapshot.training
    if run is None or run.outcome is not RunOutcome.RUNNING:
        return state
    job = training.job(run.number)
    if job is None:
        return _without_job(state, run)
    if job.state is seen.JobState.FAILED:
        return _failed(state, job.trouble or "its Job failed")
    if job.state is seen.JobState.SUCCEEDED:
        return _read(state, run, job)
    late = deadline(state)
    if late is not None and state.case.now >= late:
        return _failed(state, f"it has not ended after {state.case.now - run.started_at}: {job.trouble or 'no reason'}")
    return state if run.job else state.with_run(job=job.name)


def deadline(state: State) -> datetime | None:
    """When the present run is given up."""
    run = state.run
    if run is None or run.outcome is not RunOutcome.RUNNING or state.wish is None:
        return None
    return run.started_at + state.wish.timeout + LATE


def _without_job(state: State, run: trained.Run) -> State:
    """It was not made yet, can't be made, or is gone."""
    training = state.case.snapshot.training
    if run.job:
        return _failed(state, f"its Job {run.job} was deleted, and with it the result")
    if training.refused:
        return _failed(state, f"its Job was refused: {training.refused}")
    if training.template is not None and training.template.trouble:
        return _ended(state, RunOutcome.FAILED, f"no Job was made: {training.template.trouble}")
    late = deadline(state)
    if late is not None and state.case.now >= late:
        return _ended(state, RunOutcome.FAILED, f"no Job was made within {state.case.now - run.started_at}")
    return state


def _read(state: State, run: trained.Run, job: seen.Job) -> State:
    if state.wish is None:
        return state
    try:
        result = results.read(job.message, state.wish)
    except results.ResultError as unusable:
        return _failed(state, str(unusable))
    if isinstance(result, results.Skipped):
        return _failed(state, f"skipped: {result.skipped}", outcome=RunOutcome.SKIPPED)
    state = state.with_run(
        version=str(result.version),
        sha256=result.sha256,
        data=result.data.sha256 or "",
        code=bounds.cut(result.code.revision or "", bounds.SHORT),
        job=job.name,
    )
    if nothing_new := _nothing_new(state, run, result):
        return _failed(state, f"no new model: {nothing_new}", reason=Reason.NO_NEW_MODEL)
    state = _ended(state, RunOutcome.TRAINED, f"made version {result.version}")
    return adoption.offered(state, run, result)


def _nothing_new(state: State, run: trained.Run, result: results.Result) -> str:
    """The same bytes, label or data again, in words."""
    if known := overlay.known_digest(state.case.snapshot, result.sha256):
        return known
    earlier = state.now.runs[1:]
    same = next((one for one in earlier if one.sha256 == result.sha256), None)
    if same is not None:
        return f"run {same.number} made the same bytes"
    stable = state.case.stable
    if stable is not None and stable.model_version == str(result.version):
        return f"it is called version {result.version}, as the one that serves"
    last = next((one for one in earlier if one.data), None)
    if run.trigger in (Trigger.DRIFT, Trigger.QUALITY) and last is not None and last.data == result.data.sha256:
        return f"it was trained on the same data as in run {last.number}"
    return ""


def cured(state: State) -> State:
    """A promoted version has helped when the alarm that its run was for has not come back within minInterval and a
    season; where it comes back, that is a failed attempt.
    """
    run, wish = state.own_run, state.wish
    if run is None or wish is None or run.outcome is not RunOutcome.PROMOTED or run.promoted_at is None:
        return state
    alarm, over = state.case.snapshot.training.alarm, run.promoted_at + wish.min_interval + _season(state, run)
    if state.case.now < over and asking.fresh(alarm, run.cause, run.promoted_at):
        words = f"version {run.version} was promoted, and {', '.join(run.cause)} alarm again"
        return _failed(state, words, outcome=RunOutcome.NOT_CURED)
    helped = state.case.now >= over or not run.cause
    return state.with_now(attempts=0) if helped and state.now.attempts else state


def _season(state: State, run: trained.Run) -> timedelta:
    """In which an alarm would come back: one by labels, as much later as these."""
    feedback = state.case.snapshot.spec.monitoring.feedback
    return SEASON + feedback.horizon if run.trigger is Trigger.QUALITY and feedback is not None else SEASON


def begun(state: State, asked: asking.Asked) -> State:
    """The intent: its number is its Job's name, so that there can't be two of it."""
    training = state.case.snapshot.training
    numbers = [one.number for one in state.now.runs] + [one.number for one in training.jobs]
    numbers += [one.run for one in adoption.models(state.known)]
    run = trained.Run(
        number=1 + max(numbers, default=0),
        trigger=asked.trigger,
        cause=asked.cause,
        base=state.digest,
        started_at=state.case.now,
        message=bounds.cut(asked.why, bounds.SHORT),
    )
    state = _with_new(state, run, starts=True)
    sha256 = training.template.sha256 if training.template is not None else ""
    return _retrained(state.with_now(template_sha256=sha256), by_command=asked.by_command)


def _retrained(state: State, *, by_command: bool) -> State:
    return State(**{**{name: getattr(state, name) for name in State.__struct_fields__}, "retrain": by_command})


def _with_new(state: State, run: trained.Run, *, starts: bool) -> State:
    recent = rails.within_budget(state.now.starts, state.case.now)
    return state.with_now(
        runs=(run, *state.now.runs)[: trained.RUNS_KEPT],
        starts=(run.started_at, *recent)[: trained.STARTS_KEPT] if starts else recent,
    )


def _failed(
    state: State, words: str, *, outcome: RunOutcome = RunOutcome.FAILED, reason: Reason = Reason.RETRAINING_FAILED
) -> State:
    """One attempt more without a good version."""
    return _ended(state, outcome, words, reason=reason).with_now(attempts=state.now.attempts + 1)


def _ended(state: State, outcome: RunOutcome, words: str, *, reason: str = "") -> State:
    run = state.now.runs[0]
    return state.with_run(
        outcome=outcome,
        reason=reason,
        message=bounds.cut(words, bounds.SHORT),
        finished_at=run.finished_at or state.case.now,
    )


def _of(run: trained.Run, **changes: object) -> trained.Run:
    fields = {name: getattr(run, name) for name in trained.Run.__struct_fields__}
    return trained.Run(**{**fields, **changes})
