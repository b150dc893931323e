"""The way back from a promoted version: condemned at once, and left as soon as the version before it can take over.

The verdict is written when the proof is there, and stands, whatever the capacity: evidence may fall silent, the old
pods may take time. The flip needs as many warm pods as the bad version's good answers are worth; where those don't come
within startTimeout, whoever is warm takes over: the bad version's pods may hold the very room that they wait for. Where
nobody is warm by then, a third version that is wanted begins: it may be what mends all this.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import msgspec

from seatrial.api import status
from seatrial.api.status import Phase, Reason, VerdictKind
from seatrial.rollout import bounds
from seatrial.rollout.decision import NOW, Case, Decision, Situation, decide, verdict_on


def condemn(
    case: Case, reason: Reason, message: str, *, at: datetime | None = None, healthy: int = 100, **changes: Any
) -> Decision | None:
    """Stable is rejected; the next passes flip back. Without a version before it, it serves on: nobody else can."""
    stable = case.stable
    if stable is None:
        return None
    breach = status.Breach(reason=reason, message=bounds.cut(message), at=at or case.now, healthy_percent=healthy)
    return decide(
        case,
        reason,
        message,
        phase=Phase.ROLLED_BACK,
        situation=Situation.FAILED,
        stable=msgspec.structs.replace(stable, breach=breach),
        verdict=verdict_on(case, stable, VerdictKind.REJECTED, reason=reason, message=message),
        look_again=NOW,
        **changes,
    )


def flip(case: Case) -> Decision | None:
    """The version before takes all traffic, or its pods are waited for; nothing while a third version is the hope."""
    stable, breach, previous = case.stable, case.breach, case.warm
    if stable is None or breach is None or previous is None:
        return None
    warm, needed = case.snapshot.ready(previous.revision), _needed(case, stable, breach)
    if warm < needed and _overdue(case, breach) and case.wanted not in (stable.revision, previous.revision):
        return None
    if warm < needed:
        return _waiting(case, previous, breach, warm=warm, needed=needed)
    returning_anyway = case.candidate is not None and case.candidate.revision == previous.revision
    return decide(
        case,
        breach.reason,
        breach.message,
        phase=Phase.ROLLED_BACK,
        situation=Situation.FAILED,
        stable=status.Stable(**previous.identity(), since=case.now),
        previous=None,
        candidate=None if returning_anyway else case.candidate,
        rollback=status.Rollback(
            source=stable.revision,
            target=previous.revision,
            reason=breach.reason,
            message=breach.message,
            breach_at=breach.at,
        ),
        look_again=NOW,
    )


def _needed(case: Case, stable: status.Stable, breach: status.Breach) -> int:
    if _overdue(case, breach):
        return 1
    return max(1, math.ceil(case.snapshot.ready(stable.revision) * breach.healthy_percent / 100))


def _overdue(case: Case, breach: status.Breach) -> bool:
    return case.now - breach.at >= case.snapshot.spec.rollout.start_timeout


def _waiting(case: Case, previous: status.Previous, breach: status.Breach, *, warm: int, needed: int) -> Decision:
    trouble = case.snapshot.trouble(previous.revision)
    words = f"{breach.message}; version {previous.model_version} takes over with {needed} pods Ready, it has {warm}"
    deadline = breach.at + case.snapshot.spec.rollout.start_timeout
    return decide(
        case,
        breach.reason,
        words + (f": {trouble}" if trouble else ""),
        phase=Phase.ROLLED_BACK,
        situation=Situation.FAILED,
        look_again=max(deadline - case.now, NOW) or case.snapshot.spec.analysis.interval,
    )
