"""Who lets a trained version in: the adopt command, nobody (Automatic), or whoever changes spec.model (External)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from seatrial.api import spec, trained
from seatrial.api.status import Reason, Verdict
from seatrial.api.trained import RunOutcome
from seatrial.rollout.decision import Case, Situation

from . import results
from .state import State


def models(known: trained.Trained | None) -> Iterator[trained.TrainedModel]:
    """Every version that status names."""
    for one in (known.current, known.next, known.offered) if known is not None else ():
        if one is not None:
            yield one


def offered(state: State, run: trained.Run, result: results.Result) -> State:
    """A run has made a version. What another run has offered before, and nobody has taken, gives way to it."""
    if state.wish is None or state.wish.adopt is spec.Adopt.EXTERNAL:
        return state
    made = trained.TrainedModel(
        uri=result.uri, sha256=result.sha256, version=str(result.version), run=run.number, at=state.case.now
    )
    before = state.known.offered if state.known is not None else None
    if before is not None:
        state = _given_up(state, before.run)
    return state.with_known(offered=made)


def _given_up(state: State, number: int) -> State:
    """Another run's version is offered in its place."""
    changed = (
        msgspec.structs.replace(one, outcome=RunOutcome.SUPERSEDED, message="a later run made another version")
        if one.number == number and one.outcome is RunOutcome.TRAINED
        else one
        for one in state.now.runs
    )
    return state.with_now(runs=tuple(changed))


def adopted(state: State) -> State:
    """The version offered begins once it may, and nothing else is on its way; a version whose soak is over is the one
    that serves in place of spec.model.
    """
    state = _let_go(_approved(settled(state)))
    known, wish = state.known, state.wish
    if known is None or known.offered is None or wish is None or wish.adopt is spec.Adopt.EXTERNAL:
        return state
    by_itself = wish.adopt is spec.Adopt.AUTOMATIC and state.case.status.set_back is None
    if not (known.offered.approved or by_itself) or not quiet(state):
        return state
    return state.with_known(next=known.offered, offered=None)


def _let_go(state: State) -> State:
    """A version that nothing leads to any more (the unfollow command) waits for nobody."""
    run, wish = state.own_run, state.wish
    if run is None or run.outcome is not RunOutcome.TRAINED or wish is None or wish.adopt is spec.Adopt.EXTERNAL:
        return state
    if any(one.run == run.number for one in models(state.known)):
        return state
    return state.with_run(outcome=RunOutcome.SUPERSEDED, message=f"version {run.version} is not followed any more")


def settled(state: State) -> State:
    """From next to current, when the soak is over."""
    next_ = state.known.next if state.known is not None else None
    stable = state.case.stable
    if next_ is None or stable is None or stable.sha256 != next_.sha256 or stable.breach is not None:
        return state
    if state.case.candidate is not None or state.case.soaking:
        return state
    return state.with_known(current=next_, next=None)


def quiet(state: State) -> bool:
    """What is wanted serves, and nothing is being judged."""
    case, next_ = state.case, state.known.next if state.known is not None else None
    moving = case.candidate is not None or case.soaking or next_ is not None or case.snapshot.unreadable
    return not moving and state.decision.situation is Situation.READY


def refused(state: State, verdict: Verdict) -> State:
    """A version on its way was rejected: the one before goes on. Aborted by hand, nothing else is trained either. One
    that the rollback-to command has set aside stays what is wanted, as any other would.
    """
    next_ = state.known.next if state.known is not None else None
    if next_ is None or next_.sha256 != verdict.sha256:
        return state
    if verdict.reason is Reason.ABORTED:
        state = state.with_now(aborted=True)
    back = state.decision.set_back
    aside = back is not None and back.instead_of == verdict.revision
    return state if aside else state.with_known(next=None)


def _approved(state: State) -> State:
    token, known = _new_token(state.case), state.known
    if not token or _why_not(token, known) or known is None or known.offered is None:
        return state
    state = state.with_known(offered=msgspec.structs.replace(known.offered, approved=True))
    return msgspec.structs.replace(state, adopt=token)


def _new_token(case: Case) -> str:
    token = case.snapshot.commands.adopt
    return token if token != case.status.commands.adopt else ""


def why_not(case: Case) -> str:
    """What the adopt command's token can't be followed for, in words; nothing where it can."""
    return _why_not(case.snapshot.commands.adopt, case.status.trained)


def _why_not(token: str, known: trained.Trained | None) -> str:
    """`<version>/<token>`: to approve 8 never approves 9."""
    waiting = known.offered if known is not None else None
    if waiting is None:
        return "changes nothing: no trained version waits to be adopted"
    if token.partition("/")[0] == waiting.version and "/" in token:
        return ""
    return f"changes nothing: version {waiting.version} waits, and {waiting.version}/<token> would adopt it"
