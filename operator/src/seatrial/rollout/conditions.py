"""Conditions: four that are always there, three where they apply; the table of the API as code.

kstatus reads Reconciling and Stalled (abnormal-true, never both) and Ready; lastTransitionTime moves only on a flip.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from seatrial.api.status import Condition, ConditionStatus, Reason
from seatrial.api.values import whole_seconds

from . import bounds
from .decision import Situation

READY, AVAILABLE, RECONCILING, STALLED = "Ready", "Available", "Reconciling", "Stalled"
VERIFIED, ANALYZED, ROUTED = "Verified", "Analyzed", "Routed"
DRIFTED = "Drifted"
QUALITY_DROPPED = "QualityDropped"
BESIDE = frozenset({DRIFTED, QUALITY_DROPPED})
"""Said by whoever watches it, beside the rollout."""
RETRAINING = "Retraining"

MEANINGS: Mapping[str, str] = {
    READY: "What the spec asks for serves. False while it is on its way, and after a rollback.",
    AVAILABLE: "A pod of stable is Ready, so requests are answered.",
    RECONCILING: "Something is under way. Never True together with Stalled; kstatus reads both.",
    STALLED: "What the spec asks for does not serve, and nothing goes on by itself; the reason says why.",
    VERIFIED: "The newest version that was tried has passed its trial.",
    ANALYZED: "The rollout can be seen: metrics arrive. False while it is blind.",
    ROUTED: "What shares the requests out gives each version what is asked for; the reason is the provider.",
    DRIFTED: "The traffic has moved away from the reference; only where drift is watched.",
    QUALITY_DROPPED: "Stable's answers are proven wrong more often than they may be; only with monitoring.quality.",
    RETRAINING: "A training run is under way or waits; only with spec.retraining.",
}

Row = tuple[str, ConditionStatus, str, str]

_READY = {
    Situation.PENDING: ConditionStatus.UNKNOWN,
    Situation.PROGRESSING: ConditionStatus.FALSE,
    Situation.READY: ConditionStatus.TRUE,
    Situation.FAILED: ConditionStatus.FALSE,
}


def truth(value: bool) -> ConditionStatus:
    return ConditionStatus.TRUE if value else ConditionStatus.FALSE


def always(situation: Situation, *, reason: Reason, message: str, ready_pods: int, pods: int) -> list[Row]:
    """Ready, Available, Reconciling and Stalled of a situation."""
    moving = situation in (Situation.PENDING, Situation.PROGRESSING)
    return [
        (READY, _READY[situation], reason, message),
        (AVAILABLE, truth(ready_pods > 0), reason, f"{ready_pods} of {pods} stable pods Ready"),
        (RECONCILING, truth(moving), reason, message if moving else "nothing to do"),
        (STALLED, truth(situation is Situation.FAILED), reason, message if situation is Situation.FAILED else ""),
    ]


def merge(known: Iterable[Condition], facts: Iterable[Row], *, generation: int, now: datetime) -> tuple[Condition, ...]:
    """The conditions of these facts; one whose status stays keeps its transition time."""
    before = {condition.type: condition for condition in known}
    merged = []
    for kind, state, reason, message in facts:
        old = before.get(kind)
        flipped = old is None or old.status is not state
        merged.append(
            Condition(
                type=kind,
                status=state,
                reason=reason,
                message=bounds.cut(message),
                observed_generation=generation,
                last_transition_time=whole_seconds(now) if flipped or old is None else old.last_transition_time,
            )
        )
    return tuple(merged)


def in_status(
    raw: Mapping[str, Any], part: str, value: Any, *, kind: str, condition: Condition | None
) -> dict[str, Any]:
    """The status as stored with one part and the condition about it, and nothing else of it changed. None: without."""
    after = {key: known for key, known in raw.items() if key != part}
    others = [one for one in raw.get("conditions") or () if one.get("type") != kind]
    if condition is not None:
        others.append(msgspec.to_builtins(condition))
    if others or "conditions" in raw:
        after["conditions"] = others
    if value is not None:
        after[part] = value
    return after
