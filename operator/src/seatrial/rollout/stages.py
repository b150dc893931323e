"""Rules of the way a version goes until its pods are asked for: what is wanted, whether it may be tried, the trial.

The way from there on is in `takeover`. A rule passes (None) when the stage is not this one.
"""

from __future__ import annotations

import msgspec

from seatrial.api import status
from seatrial.api.status import Phase, Reason, VerdictKind
from seatrial.api.values import whole_seconds

from . import bounds, facts, looking, report
from .decision import NOW, Case, Decision, Situation, decide, reject, verdict_on, who

TRIAL_FAILURES = frozenset({Reason.MODEL_REJECTED, Reason.TRIAL_FAILED, Reason.TRIAL_TIMEOUT})


def retry_requested(case: Case) -> Decision | None:
    """The retry command forgets the rejection of the wanted revision, once a token."""
    token, verdict = case.snapshot.commands.retry, case.snapshot.verdict(case.wanted)
    if not token or token == case.status.commands.retry:
        return None
    if verdict is None or verdict.verdict is not VerdictKind.REJECTED:
        return None
    return decide(
        case,
        Reason.PENDING,
        f"{who(case)}: tried again on the retry command ({token})",
        phase=Phase.PENDING,
        commands=msgspec.structs.replace(case.status.commands, retry=token),
        forgiven=case.wanted,
        look_again=NOW,
    )


def address_corrected(case: Case) -> Decision | None:
    """The same bytes from another place: a refusal on trial may have been about the place. Once a change: the record
    on file is replaced in the same pass."""
    verdict, on_file = case.snapshot.verdict(case.wanted), case.snapshot.records.get(case.wanted)
    if verdict is None or verdict.verdict is not VerdictKind.REJECTED or verdict.reason not in TRIAL_FAILURES:
        return None
    if on_file is None or on_file == case.snapshot.wanted:
        return None
    return decide(
        case,
        Reason.PENDING,
        f"{who(case)}: tried again, spec.model.uri or secretRef has changed",
        phase=Phase.PENDING,
        forgiven=case.wanted,
        look_again=NOW,
    )


def candidate_superseded(case: Case) -> Decision | None:
    """Another revision is wanted now: the candidate leaves without a memory against it."""
    candidate = case.candidate
    if candidate is None or candidate.revision == case.wanted:
        return None
    message = f"version {candidate.model_version} ({candidate.revision}) left: another version is wanted now"
    return decide(
        case,
        Reason.SUPERSEDED,
        message,
        phase=Phase.PENDING,
        candidate=None,
        verdict=verdict_on(case, candidate, VerdictKind.SUPERSEDED, reason=Reason.SUPERSEDED, message=message),
        look_again=NOW,
    )


def wanted_is_stable(case: Case) -> Decision | None:
    """What is wanted has the traffic. After a promotion the old version stays warm until the soak is over."""
    stable = case.stable
    if stable is None or stable.revision != case.wanted:
        return None
    if case.snapshot.ready(stable.revision) == 0:
        trouble = case.snapshot.trouble(stable.revision) or "its pods are starting"
        message = f"version {stable.model_version} has no pod Ready: {trouble}"
        return decide(case, Reason.STARTING, message, phase=Phase.STARTING)
    message = f"version {stable.model_version} ({stable.revision}) serves"
    if case.warm is not None:
        message += f"; version {case.warm.model_version} stays warm until the soak is over"
    return decide(
        case,
        Reason.PROMOTED,
        message,
        phase=Phase.SOAKING if case.warm else Phase.STABLE,
        situation=Situation.READY,
    )


def wanted_was_rejected(case: Case) -> Decision | None:
    """A rejected revision gets no second chance by itself; stable keeps all traffic."""
    verdict = case.snapshot.verdict(case.wanted)
    if verdict is None or verdict.verdict is not VerdictKind.REJECTED:
        return None
    refused = verdict.reason in TRIAL_FAILURES
    serving = f"; version {case.stable.model_version} serves" if case.stable else ""
    return decide(
        case,
        verdict.reason if refused or case.stable is None else Reason.ROLLED_BACK,
        f"{who(case)}: {verdict.message}{serving}. Change the spec, or annotate seatrial.dev/retry to try it again",
        phase=Phase.STALLED if refused else Phase.ROLLED_BACK,
        situation=Situation.FAILED,
    )


def new_candidate(case: Case) -> Decision | None:
    """A revision not seen before goes on trial; one whose trial is on record starts at once."""
    if case.candidate is not None:
        return None
    content = case.snapshot.wanted.content
    candidate = status.Candidate(
        revision=case.wanted,
        model_version=content.model_version,
        sha256=content.sha256,
        image=content.image,
    )
    known = case.snapshot.reports.get(case.wanted)
    if known is not None:
        return _start(case, candidate, known)
    return decide(
        case,
        Reason.TRIAL_RUNNING,
        f"{who(case)}: on trial",
        phase=Phase.TRIAL,
        candidate=msgspec.structs.replace(candidate, trial_started_at=case.now),
        look_again=NOW,
    )


def on_trial(case: Case) -> Decision | None:
    """The Job runs until there is a report; a refused model never had a serving pod."""
    candidate = case.candidate
    if candidate is None or candidate.started_at is not None or candidate.step or candidate.trial_started_at is None:
        return None
    known = case.snapshot.reports.get(candidate.revision)
    trial = case.snapshot.trials.get(candidate.revision)
    if known is None and trial is not None and trial.created_at >= whole_seconds(candidate.trial_started_at):
        if trial.state is facts.JobState.FAILED:
            words = bounds.cut(trial.trouble)
            summary = status.TrialStatus(revision=candidate.revision, outcome="Failed", message=words)
            return reject(case, candidate, Reason.TRIAL_FAILED, f"the trial failed: {trial.trouble}", trial=summary)
        if trial.report is not None and trial.report.outcome is report.Outcome.REJECTED:
            message = f"{trial.report.reason}: {trial.report.message}"
            summary = looking.trial_status(candidate.revision, trial.report)
            return reject(case, candidate, Reason.MODEL_REJECTED, message, trial=summary)
        known = trial.report
    if known is not None:
        return _start(case, candidate, known)
    deadline = candidate.trial_started_at + case.snapshot.spec.trial.timeout
    trouble = f" ({trial.trouble})" if trial is not None and trial.trouble else ""
    return decide(
        case,
        Reason.TRIAL_RUNNING,
        f"{who(case)}: on trial{trouble}",
        phase=Phase.TRIAL,
        look_again=max(deadline - case.now, NOW),
    )


def _start(case: Case, candidate: status.Candidate, known: report.Report) -> Decision:
    """Pods are asked for. A first install, and a return to a promoted revision, skip the canary."""
    verdict = case.snapshot.verdict(candidate.revision)
    promoted_before = verdict is not None and verdict.verdict is VerdictKind.PROMOTED
    return decide(
        case,
        Reason.STARTING,
        f"{who(case)}: trial passed, pods are starting",
        phase=Phase.STARTING,
        trial=looking.trial_status(candidate.revision, known),
        candidate=msgspec.structs.replace(
            candidate,
            started_at=case.now,
            promoting=case.stable is None or promoted_before,
            served_sha256=known.served_sha256,
            precision=known.precision,
        ),
        look_again=NOW,
    )
