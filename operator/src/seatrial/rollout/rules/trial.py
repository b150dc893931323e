"""On trial: the Job runs until there is a report. A refused model never had a serving pod."""

from __future__ import annotations

from datetime import timedelta

from seatrial.api import stage as stages
from seatrial.api import status
from seatrial.api.status import Phase, Reason
from seatrial.api.values import whole_seconds
from seatrial.rollout import bounds, facts, rendering, report
from seatrial.rollout.decision import NOW, Case, Decision, Situation, decide, move, reject, who

from . import wishes

_FIRST_PAUSE = timedelta(seconds=30)
STABLE = "Stable"
_LONGEST_PAUSE = timedelta(minutes=10)


def moved(case: Case) -> Decision | None:
    """The address was changed during the trial: it begins anew, from there."""
    stage, on_file = case.stage, case.snapshot.records.get(case.wanted)
    if not isinstance(stage, stages.Trial) or on_file is None or on_file.address == case.snapshot.wanted.address:
        return None
    return move(
        case,
        stages.Trial(since=case.now, attempt=stage.attempt + 1),
        Reason.TRIAL_RUNNING,
        f"{who(case)}: on trial again, spec.model.uri or secretRef has changed",
        phase=Phase.TRIAL,
        look_again=NOW,
    )


def on_trial(case: Case) -> Decision | None:
    """What the Job of this try has come to."""
    candidate, stage = case.candidate, case.stage
    if candidate is None or not isinstance(stage, stages.Trial):
        return None
    known = case.snapshot.reports.get(candidate.revision)
    trial = _this_try(case.snapshot.trials.get(candidate.revision), stage)
    if known is None and trial is not None:
        if trial.fault is facts.Fault.SURROUNDINGS and trial.report is None:
            return _again_later(case, stage, trial)
        if trial.state is facts.JobState.FAILED:
            return _failed(case, candidate, trial)
        if trial.report is not None and trial.report.outcome is report.Outcome.REJECTED:
            return _refused(case, candidate, trial.report)
        known = trial.report
    if known is not None:
        return wishes.started(case, candidate, known)
    deadline = stage.since + case.snapshot.spec.trial.timeout
    trouble = f" ({trial.trouble})" if trial is not None and trial.trouble else ""
    return decide(
        case,
        Reason.TRIAL_RUNNING,
        f"{who(case)}: on trial{trouble}",
        phase=Phase.TRIAL,
        look_again=max(deadline - case.now, NOW),
    )


def baseline_missing(case: Case) -> Decision | None:
    """A version that was trained and that nobody has approved must have been compared with stable in its trial: on rows
    that reviewers have chosen, by a declared test that it passed. Else a training loop would be its own judge.
    """
    candidate, known = case.candidate, case.status.trained
    next_ = known.next if known is not None else None
    if candidate is None or next_ is None or next_.approved or candidate.sha256 != next_.sha256:
        return None
    trial = case.snapshot.trials.get(candidate.revision)
    seen = case.snapshot.reports.get(candidate.revision) or (trial.report if trial is not None else None)
    if seen is None or seen.outcome is not report.Outcome.PASSED:
        return None
    if any(one.against == STABLE and one.outcome == "Pass" for one in seen.tests):
        return None
    words = "it was trained and adopted by itself, and its trial passed no declared test with against: Stable"
    summary = rendering.trial_status(candidate.revision, seen)
    return reject(case, candidate, Reason.BASELINE_UNAVAILABLE, words, trial=summary)


def _this_try(trial: facts.Trial | None, stage: stages.Trial) -> facts.Trial | None:
    return trial if trial is not None and not of_an_earlier_try(trial, stage) else None


def of_an_earlier_try(trial: facts.Trial, stage: stages.Trial) -> bool:
    """By the number of the try where the Job carries one: API servers' clocks may be apart."""
    if trial.attempt is not None:
        return trial.attempt != stage.attempt
    return trial.created_at < whole_seconds(stage.since)


def _failed(case: Case, candidate: status.Candidate, trial: facts.Trial) -> Decision:
    words = bounds.cut(trial.trouble)
    summary = status.TrialStatus(revision=candidate.revision, outcome="Failed", message=words)
    return reject(case, candidate, Reason.TRIAL_FAILED, f"the trial failed: {trial.trouble}", trial=summary)


def _refused(case: Case, candidate: status.Candidate, seen: report.Report) -> Decision:
    summary = rendering.trial_status(candidate.revision, seen)
    return reject(case, candidate, Reason.MODEL_REJECTED, f"{seen.reason}: {seen.message}", trial=summary)


def _again_later(case: Case, stage: stages.Trial, trial: facts.Trial) -> Decision:
    """The store or the cluster failed, not the model: another try, after a pause that grows with each."""
    if trial.state is facts.JobState.RUNNING:
        again = stage.since + case.snapshot.spec.trial.timeout
    else:
        again = (trial.ended_at or stage.since) + _pause(stage.attempt)
    message = f"{who(case)}: the trial could not be made, which is not the model's fault: {trial.trouble}"
    if case.now < again:
        return decide(
            case,
            Reason.TRIAL_FAILED,
            f"{message}; tried again by itself",
            phase=Phase.STALLED,
            situation=Situation.FAILED,
            look_again=again - case.now,
        )
    return move(
        case,
        stages.Trial(since=case.now, attempt=stage.attempt + 1),
        Reason.TRIAL_RUNNING,
        message,
        phase=Phase.TRIAL,
        look_again=NOW,
    )


def _pause(attempt: int) -> timedelta:
    doublings: int = min(attempt - 1, 10)
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * (1 << doublings))
