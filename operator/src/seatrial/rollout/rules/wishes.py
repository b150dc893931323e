"""Rules about what the spec wants: whether it serves already, may be tried, and how it begins."""

from __future__ import annotations

import msgspec

from seatrial.api import stage as stages
from seatrial.api import status
from seatrial.api.status import Phase, Reason, VerdictKind
from seatrial.rollout import images, rendering, report, standing
from seatrial.rollout.decision import NOW, Case, Decision, Situation, decide, verdict_on, who

TRIAL_FAILURES = frozenset({Reason.MODEL_REJECTED, Reason.TRIAL_FAILED, Reason.TRIAL_TIMEOUT})
UNSERVED = TRIAL_FAILURES | {Reason.SHADOW_FAILED}  # rejected before anybody had an answer of it


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
    if stable.breach is not None:
        message = f"{stable.breach.message}; it serves on, there is no version before it: change the spec"
        return decide(case, stable.breach.reason, message, phase=Phase.STALLED, situation=Situation.FAILED)
    if (mark := set_aside(case, stable)) is not None:
        message = f"version {stable.model_version} was {mark.message}, which could not take its place: change the spec"
        return decide(case, mark.reason, message, phase=Phase.STALLED, situation=Situation.FAILED)
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


def retry_requested(case: Case) -> Decision | None:
    """The retry command gives the rejected revision that is wanted another canary, once a token."""
    token, mark = case.snapshot.commands.retry, case.snapshot.standing(case.wanted)
    if not token or token == case.status.commands.retry or mark is None or not mark.rejected:
        return None
    message = f"{who(case)}: tried again on the retry command ({token})"
    return _tried_again(case, message, commands=msgspec.structs.replace(case.status.commands, retry=token))


def address_corrected(case: Case) -> Decision | None:
    """The same bytes from another place: a refusal on trial may have been about the place. Once a change: the address
    is noted on the record in the same pass.
    """
    mark, on_file = case.snapshot.standing(case.wanted), case.snapshot.records.get(case.wanted)
    if mark is None or not mark.rejected or mark.reason not in TRIAL_FAILURES:
        return None
    if on_file is None or on_file.address == case.snapshot.wanted.address:
        return None
    return _tried_again(case, f"{who(case)}: tried again, spec.model.uri or secretRef has changed")


def _tried_again(case: Case, message: str, *, commands: status.Commands | None = None) -> Decision:
    retried = verdict_on(case, _wanted(case), VerdictKind.RETRIED, reason=Reason.RETRIED, message=message)
    return decide(
        case,
        Reason.RETRIED,
        message,
        phase=Phase.PENDING,
        commands=commands or case.status.commands,
        verdict=retried,
        look_again=NOW,
    )


def wanted_was_rejected(case: Case) -> Decision | None:
    """A rejected revision gets no second chance by itself; stable keeps all traffic."""
    mark = case.snapshot.standing(case.wanted)
    if mark is None or not mark.rejected:
        return None
    refused = mark.reason in UNSERVED
    serving = f"; version {case.stable.model_version} serves" if case.stable else ""
    return decide(
        case,
        mark.reason if refused or case.stable is None else Reason.ROLLED_BACK,
        f"{who(case)}: {mark.message}{serving}. Change the spec, or annotate seatrial.dev/retry to try it again",
        phase=Phase.STALLED if refused else Phase.ROLLED_BACK,
        situation=Situation.FAILED,
    )


def new_candidate(case: Case) -> Decision | None:
    """A revision not seen before goes on trial; one whose trial is on record starts at once.

    A promote command that came with the version, or before it, is not about one of its steps. A refresh-image command
    has got what it asked for.
    """
    if case.candidate is not None:
        return None
    asked, handled = case.snapshot.commands, case.status.commands
    handled = msgspec.structs.replace(handled, promote=asked.promote or handled.promote)
    if images.refreshing(case.snapshot):
        handled = msgspec.structs.replace(handled, refresh_image=asked.refresh_image)
    known = case.snapshot.reports.get(case.wanted)
    if known is not None:
        return started(case, _wanted(case), known, commands=handled)
    return decide(
        case,
        Reason.TRIAL_RUNNING,
        f"{who(case)}: on trial",
        phase=Phase.TRIAL,
        candidate=stages.entered(_wanted(case), stages.Trial(since=case.now, attempt=_next_attempt(case))),
        commands=handled,
        look_again=NOW,
    )


def _next_attempt(case: Case) -> int:
    """Another than that of a Job that is still there from an earlier time."""
    left = case.snapshot.trials.get(case.wanted)
    return 1 + (left.attempt or 0) if left is not None else 1


def _wanted(case: Case) -> status.Candidate:
    content = case.snapshot.wanted.content
    return status.Candidate(
        revision=case.wanted, model_version=content.model_version, sha256=content.sha256, image=content.image
    )


def started(
    case: Case, candidate: status.Candidate, known: report.Report, *, commands: status.Commands | None = None
) -> Decision:
    """Pods are asked for. Only what has nothing to be compared with, or was promoted and never refuted, skips the
    canary.
    """
    known_candidate = msgspec.structs.replace(
        candidate, served_sha256=known.served_sha256, precision=known.precision, provider=case.snapshot.provider
    )
    straight = nobody_to_compare_with(case) or trusted(case, candidate.revision)
    stage = stages.TakingOver(since=case.now) if straight else stages.Starting(since=case.now)
    return decide(
        case,
        Reason.STARTING,
        f"{who(case)}: trial passed, pods are starting",
        phase=Phase.STARTING,
        trial=rendering.trial_status(candidate.revision, known),
        candidate=stages.entered(known_candidate, stage),
        commands=commands or case.status.commands,
        look_again=NOW,
    )


def nobody_to_compare_with(case: Case) -> bool:
    """No version is stable, or only one that is proven bad and has none before it."""
    return case.stable is None or (case.breach is not None and case.warm is None)


def trusted(case: Case, revision: str) -> bool:
    mark = case.snapshot.standing(revision)
    return mark is not None and mark.trusted


def set_aside(case: Case, stable: status.Stable) -> standing.Mark | None:
    """Rejected by the rollback-to command while it served; nobody goes back to it."""
    mark = case.snapshot.standing(stable.revision)
    return mark if mark is not None and mark.rejected and mark.reason is Reason.ROLLED_BACK else None
