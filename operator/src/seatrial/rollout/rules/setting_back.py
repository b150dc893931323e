"""The rollback-to command: the version that the spec asks for is set aside, and one from history serves again.

Decided in one write of status: the verdict on the one, the name of the other. From then on the named revision is what
is wanted (`rollout.wanting`), and comes by the way of every return to a trusted one; where it is still warm, it is one
flip. A version set aside counts as rejected, so that it comes back by a retry or not at all.
"""

from __future__ import annotations

from typing import Any

import msgspec

from seatrial.api import status
from seatrial.api.status import Phase, Reason, VerdictKind
from seatrial.rollout.decision import NOW, Case, Decision, decide, reject, verdict_on

from . import returning


def rollback_requested(case: Case) -> Decision | None:
    """A new rollback-to token that names a revision from history."""
    token, aside = case.snapshot.commands.rollback_to, _spec_asks_for(case)
    if not token or token == case.status.commands.rollback_to or why_not(case):
        return None
    candidate, stable, named = case.candidate, case.stable, _named(token)
    if candidate is None and aside not in case.snapshot.records:
        return None  # it begins first, so that it has a record by which it is known from then on
    record = case.snapshot.records[named]
    message = f"set aside by the rollback-to command for version {record.content.model_version} ({named})"
    back = status.SetBack(revision=named, instead_of=aside, at=case.now)
    commands = msgspec.structs.replace(case.status.commands, rollback_to=token)
    if candidate is not None and candidate.revision == aside:
        return reject(case, candidate, Reason.ROLLED_BACK, message, set_back=back, commands=commands)
    if stable is not None and stable.revision == aside and case.breach is None:
        if case.warm is not None and case.warm.revision == named:
            return returning.condemn(case, Reason.ROLLED_BACK, message, set_back=back, commands=commands)
        return _left(case, stable, message, set_back=back, commands=commands)
    return decide(
        case,
        Reason.ROLLED_BACK,
        message,
        phase=Phase.ROLLED_BACK,
        set_back=back,
        commands=commands,
        look_again=NOW,
    )


def _left(case: Case, stable: status.Stable, message: str, **changes: Any) -> Decision:
    """It serves until the named one has taken over; another version that is warm gives up its pods for that."""
    return decide(
        case,
        Reason.ROLLED_BACK,
        message,
        phase=Phase.ROLLED_BACK,
        previous=None,
        verdict=verdict_on(case, stable, VerdictKind.REJECTED, reason=Reason.ROLLED_BACK, message=message),
        look_again=NOW,
        **changes,
    )


def why_not(case: Case) -> str:
    """What the token of the command can't be followed for, in words; nothing where it can."""
    named, stable = _named(case.snapshot.commands.rollback_to), case.stable
    if named == _spec_asks_for(case):
        return "names the version that the spec asks for"
    if stable is not None and stable.revision == named and case.candidate is None:
        return "names the version that serves"
    if named in _trusted(case):
        return ""
    choice = ", ".join(f"{name} (version {version})" for name, version in _trusted(case).items())
    return f"names no version that was promoted and is kept; there {'are ' + choice if choice else 'is none'}"


def _named(token: str) -> str:
    """What follows a slash only makes it another token."""
    return token.partition("/")[0]


def _spec_asks_for(case: Case) -> str:
    back = case.status.set_back
    return back.instead_of if back is not None else case.wanted


def _trusted(case: Case) -> dict[str, str]:
    """Revisions that may be named, with their versions, the newest first."""
    records = sorted(case.snapshot.records.values(), key=lambda one: one.number, reverse=True)
    marks = {one.revision: case.snapshot.standing(one.revision) for one in records}
    return {
        one.revision: one.content.model_version
        for one in records
        if (mark := marks[one.revision]) is not None and mark.trusted and one.revision != _spec_asks_for(case)
    }
