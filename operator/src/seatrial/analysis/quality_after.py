"""Is a version that serves alone wrong too often, by labels of requests that are old enough to have theirs? Pure.

Two questions of the same days: more than the spec allows, and more than `1 + tolerance` times what is on record. On
record is the holdout of its trial; where there is none, or where labels are no fair sample of answers, its own first
weeks are. The true rate behind a record is not known: an upper limit of it stands in, as in the soak. Asked in windows
of whole days, as often as `LOOKS` says, so that the chance of any false alarm within a year stays below the rate.

Labels are no fair sample where none says that an answer was right (complaints only) or where all are of one class: what
was wrong is then held against the rows that were answered, or against labels of the same kind, and never against the
holdout or the maximum.
"""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from seatrial.analysis import calibration, evidence, judgement, quality, soak

LOOKS = 365 * 6
DAYS = (1, 2, 3, 7, 14, 28)
TESTS = 2
KEPT = 28
WEEK = 7
FIRST = 14
"""Days with labels that are a version's first weeks."""
LEAST_PHI = 1.1
PRIOR_PHI, PRIOR_WEIGHT, CAP = 2.0, 5.0, 3.0
FIRST_WEEK = 1.5
"""Factor of the limit for windows shorter than a week, while no week is known to say how days differ."""
LEAST_DAYS = 4
"""Of a week that must have labels for it to say so."""
USUAL_PART = 0.5
"""Of the usual share of labels, below which they are missing."""
LONG_WEEKEND = 4
LEAST_EXPECTED = 10
"""Labels that must have been expected before it is said that they are missing."""


class Against(enum.StrEnum):
    """What the wrong answers are held against."""

    MAXIMUM = "Maximum"
    HOLDOUT = "Holdout"
    FIRST_WEEKS = "FirstWeeks"


Amount = Annotated[float, Meta(ge=0, le=2**53)]


class Day(msgspec.Struct, frozen=True):
    """Rows answered with a token on one day whose cohorts are all mature, those with a label, and the wrong ones."""

    rows: float
    labelled: float
    wrong: float

    @property
    def right(self) -> float:
        return self.labelled - self.wrong


class Record(msgspec.Struct, frozen=True):
    """The first weeks, added up, and how much noisier than chance their days were."""

    rows: Amount
    labelled: Amount
    wrong: Amount
    dispersion: Annotated[float, Meta(ge=1, le=1e6)]

    @property
    def right(self) -> float:
        return self.labelled - self.wrong


class Standing(msgspec.Struct, frozen=True):
    """Where quality stands. `dropped`: proven; `missing`: why labels can't be judged, in words.

    `of` is what wrong answers are a share of: labelled rows, or with `complaints` all that were answered.
    """

    labelled: Amount
    wrong: Amount
    low: float
    high: float
    limit: float
    log_evidence: float
    bound: Annotated[float, Meta(gt=0)]
    of: Amount = 0.0
    days: Annotated[int, Meta(ge=1, le=366)] = 1
    against: Against = Against.MAXIMUM
    complaints: bool = False
    missing: str = ""

    @property
    def dropped(self) -> bool:
        return not self.missing and self.log_evidence >= math.log(self.bound)

    @property
    def suspected(self) -> bool:
        return not self.missing and self.log_evidence >= math.log(self.bound) / 2

    @property
    def share(self) -> float:
        return self.wrong / self.of if self.of else 0.0


class _Limit(msgspec.Struct, frozen=True):
    share: float
    against: Against


def judge(
    days: Sequence[Day],
    *,
    most: float,
    tolerance: float,
    holdout: tuple[int, int] | None,
    rate: float,
    first: Record | None = None,
    fair: bool = True,
    since: int = 0,
) -> Standing | None:
    """The strongest of all windows that end with the last day; None without a label, or without anything to hold it
    against.

    Args:
        most: share of wrong rows that is allowed.
        tolerance: tolerated excess over what is on record.
        holdout: rows of the trial's holdout, and those that were wrong; None where there was none.
        rate: of false alarms within a year.
        first: the version's first weeks, once they are over.
        fair: labels are of more than one class.
        since: place of the first day that may be in a window; what was before it has been told already.
    """
    complaints = only_complaints(days, first)
    limits = _limits(
        most=most,
        tolerance=tolerance,
        holdout=holdout if fair and not complaints else None,
        error=rate / TESTS,
        first=first,
        complaints=complaints,
    )
    if not fair or complaints:
        limits = [one for one in limits if one.against is Against.FIRST_WEEKS]
    noise = phi(days)
    found = [
        _window(days[-count:], limit, room=_room_of(days, count), noise=noise, complaints=complaints)
        for count in DAYS
        if count <= len(days) - since
        for limit in limits
    ]
    judged = [msgspec.structs.replace(one, bound=TESTS * LOOKS / rate) for one in found if one.labelled]
    if not judged:
        return None
    strongest = max(judged, key=lambda one: one.log_evidence)
    return msgspec.structs.replace(strongest, missing=missing(days))


def record(days: Sequence[Day]) -> Record | None:
    """The first weeks, once so many days have labels."""
    some = [day for day in days if day.labelled][:FIRST]
    if len(some) < FIRST:
        return None
    rows, labelled, wrong = (sum(getattr(day, name) for day in some) for name in Day.__struct_fields__)
    return Record(rows, labelled, wrong, phi(some))


def only_complaints(days: Sequence[Day], first: Record | None) -> bool:
    """No label ever said that an answer was right."""
    return not (first.right if first is not None else 0) and not any(day.right for day in days)


def of_day(days: Sequence[Day]) -> calibration.Expected | None:
    """The last day by itself, with limits of 99 %; None where it has no label, or complaints only."""
    if not days or not days[-1].labelled or only_complaints(days, None):
        return None
    day, noise = days[-1], phi(days)
    low, high = evidence.share_limits(np.array([day.wrong]), np.array([day.labelled]), dispersion=noise)
    return calibration.Expected(day.wrong / day.labelled, low, min(high, 1.0))


def calm(days: Sequence[Day], standing: Standing) -> bool:
    """Whether a whole week lies below what alarmed."""
    week = days[-WEEK:]
    of = sum(day.rows if standing.complaints else day.labelled for day in week)
    return len(week) == WEEK and bool(of) and sum(day.wrong for day in week) <= standing.limit * of


def missing(days: Sequence[Day]) -> str:
    """That the last day has fewer than half of the usual share of labels; nothing where there is no usual share yet.

    A day of the week that had none a week before either (a weekend) misses nothing, and as long as no week is known,
    four days in a row must miss theirs.
    """
    usual = [day.labelled / day.rows for day in days[:-1] if day.rows]
    if not usual or not days[-1].rows:
        return ""
    typical = float(np.median(usual))
    if not typical:
        typical = float(np.mean(usual))
    enough = USUAL_PART * typical
    few = [day.rows * typical >= LEAST_EXPECTED and day.labelled < enough * day.rows for day in days]
    if not few[-1]:
        return ""
    before = few[-1 - WEEK] if len(days) > WEEK else not all(few[-LONG_WEEKEND:])
    if before:
        return ""
    share = days[-1].labelled / days[-1].rows
    return f"labels came for {share:.1%} of the rows of the last day, usually for {typical:.1%}"


def never(days: Sequence[Day]) -> str:
    """That nobody asks for tokens, or that no label ever came; nothing where one did."""
    rows = sum(day.rows for day in days)
    if not rows:
        return "no answer was given a token: requests must have the parameter feedback, or spec has feedback.always"
    if any(day.labelled for day in days):
        return ""
    return f"{rows:.0f} rows were answered with a token over {len(days)} days, and no label came back for any"


def phi(days: Sequence[Day]) -> float:
    """How much noisier than chance neighbouring days differ, at least 1.1; a single jump can't hide itself."""
    estimate, squares, pairs = PRIOR_PHI, 0.0, 0
    some = [day for day in days if day.labelled]
    for before, after in itertools.pairwise(some):
        share = (before.wrong + after.wrong) / (before.labelled + after.labelled)
        spread = share * (1 - share) * (1 / before.labelled + 1 / after.labelled)
        if not spread:
            continue
        square = (after.wrong / after.labelled - before.wrong / before.labelled) ** 2 / spread
        squares, pairs = squares + min(square, CAP * estimate), pairs + 1
        estimate = (squares + PRIOR_WEIGHT * PRIOR_PHI) / (pairs + PRIOR_WEIGHT)
    return max(LEAST_PHI, estimate)


def room(days: Sequence[Day]) -> float:
    """By which factor single days may exceed the limit: as far as the worst day of an earlier week exceeded that week,
    beyond chance. `days`: those before the window.
    """
    week = [day for day in days[-WEEK:] if day.labelled]
    if len(days) < WEEK or len(week) < LEAST_DAYS:
        return FIRST_WEEK
    share = sum(day.wrong for day in week) / sum(day.labelled for day in week)
    if not share:
        return 1.0
    beyond = [day.wrong / day.labelled - 2 * math.sqrt(LEAST_PHI * share * (1 - share) / day.labelled) for day in week]
    return max(1.0, max(beyond) / share)


def _room_of(days: Sequence[Day], count: int) -> float:
    """Of a window of so many days."""
    return room(days[:-count]) if count < WEEK else 1.0


def _limits(
    *,
    most: float,
    tolerance: float,
    holdout: tuple[int, int] | None,
    error: float,
    first: Record | None,
    complaints: bool,
) -> list[_Limit]:
    """`holdout` and `first`: one of them is on record, the holdout where it may be used."""
    found = [_Limit(most, Against.MAXIMUM)] if most < evidence.HIGHEST_SHARE else []
    if holdout is not None and holdout[0]:
        counts, noise, against = judgement.Counts(requests=holdout[0], events=holdout[1]), LEAST_PHI, Against.HOLDOUT
    elif first is not None:
        of = first.rows if complaints else first.labelled
        counts = judgement.Counts(requests=round(of), events=round(first.wrong))
        noise, against = first.dispersion, Against.FIRST_WEEKS
    else:
        return found
    highest = (1 + tolerance) * soak.highest_rate(counts, error=error, dispersion=noise)
    return [*found, _Limit(highest, against)] if highest < evidence.HIGHEST_SHARE else found


def _window(days: Sequence[Day], limit: _Limit, *, room: float, noise: float, complaints: bool) -> Standing:
    of, labelled, wrong = (
        np.array([getattr(day, name) for day in days])
        for name in ("rows" if complaints else "labelled", "labelled", "wrong")
    )
    low, high = evidence.share_limits(wrong, of, dispersion=noise)
    most = min(limit.share * room, evidence.HIGHEST_SHARE)
    course = evidence.absolute(wrong, of, most=most, dispersion=noise, excesses=quality.RATIOS)
    return Standing(
        labelled=float(labelled.sum()),
        wrong=float(wrong.sum()),
        low=low,
        high=min(high, 1.0),
        limit=most,
        log_evidence=float(course[-1]),
        bound=math.inf,
        of=float(of.sum()),
        days=len(days),
        against=limit.against,
        complaints=complaints,
    )
