"""Blind is not safe: how long a candidate keeps its weight while its metrics can't be judged.

It is held for `blindTimeout`, then it goes to 0 without a verdict until sight is back, and the step begins again. It is
kept while stable has no pod Ready that could take the requests. Time begins with the first blind look, whatever the
stage, whatever else is wrong.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from seatrial.api import stage as stages
from seatrial.rollout.decision import Case, Situation

Judged = TypeVar("Judged", bound=stages.Step | stages.Promoting)


def blind(case: Case) -> bool:
    return case.look is None or case.look.blind


def noted(case: Case, stage: Judged) -> Judged:
    """The stage with the time since when nothing was seen; without one when something is."""
    since = (stage.blind_since or case.now) if blind(case) else None
    return msgspec.structs.replace(stage, blind_since=since)


def lost(case: Case, stage: stages.Step | stages.Promoting) -> bool:
    """Blind for too long, with somebody there to take the weight."""
    if not stage.weight or stage.blind_since is None or not case.somebody_else:
        return False
    return case.now - stage.blind_since >= case.snapshot.spec.analysis.blind_timeout


def begun_again(stage: stages.Step | stages.Promoting) -> stages.Step:
    """The step without its weight. What is seen once it has some again is another window of evidence."""
    return stages.Step(number=stage.number, weight=0, blind_since=stage.blind_since, windows=stage.windows)


def why(case: Case) -> str:
    return case.look.message if case.look else "no look at the metrics yet"


def situation(case: Case) -> Situation:
    """Stalled, though still looking, when somebody has to change a setting; an outage is waited for."""
    return Situation.FAILED if case.look is not None and case.look.misconfigured else Situation.PROGRESSING
