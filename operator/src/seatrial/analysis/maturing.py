"""From what pods count of cohorts to whole days of one revision: a cohort counts once all its labels may have come.

Counters live 32 cohorts long and labels come for 24 of them, so each cohort stands still for a while before its place
is used again. One that nobody looked at in that time (the source was away) is left out: its labels are not all known,
and those that come first are seldom like the others. `Returns` has state of its own; what is kept are days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from seatrial.analysis import cohorts
from seatrial.analysis.quality_after import Day

PIECES = (4, 3, 2, 1)
SHORTEST = 60


def step(seconds: float) -> int:
    """Into which equal parts a cohort's time is cut, so that none lies in two cohorts."""
    whole = int(seconds)
    return next(whole // parts for parts in PIECES if whole % parts == 0 and (whole // parts >= SHORTEST or parts == 1))


def begin(seconds: float, now: float) -> float:
    """The newest moment up to now at which such a part ends. Pods' clocks may be a minute behind."""
    part = step(seconds)
    return (now - cohorts.SKEW) // part * part + cohorts.SKEW


class Returns:
    """What came back for answers of one revision.

    Args:
        seconds: of a cohort.
        horizon: seconds after which nothing counts any more.
        since: cohorts before that moment are known already.
    """

    def __init__(self, revision: str, *, seconds: float, horizon: float, since: float) -> None:
        self._revision, self._horizon = revision, horizon
        self.seconds, self.until = seconds, since
        self._book = cohorts.Book(seconds)

    def add(self, series: Iterable[cohorts.Series]) -> list[cohorts.Cohort]:
        """The cohorts that have become complete with these samples, each once. A sample stands for the part of a
        cohort's time that ends with it (see `step`): it is the highest value within it.
        """
        found = list[cohorts.Cohort]()
        for at, part in _by_moment(list(series), step(self.seconds)).items():
            self._book.add(part)
            found += self._complete(at)
        return found

    def _complete(self, now: float) -> list[cohorts.Cohort]:
        """Those that are old enough. Of one whose place is another's by now, the end was not seen."""
        mature, newest = now - self._horizon, int((now - cohorts.SKEW) // self.seconds)
        past = self._book.cohorts(stable=self._revision, candidate="", since=self.until, until=mature)
        if past:
            self.until = past[-1].end
        return [one for one in past if round(one.start / self.seconds) > newest - cohorts.COUNT]


def _by_moment(known: Sequence[cohorts.Series], part: int) -> dict[float, list[cohorts.Series]]:
    """Samples one moment at a time, in order, each dated into the middle of what it stands for."""
    moments = sorted({at for one in known for at, _ in one.samples})
    values = [dict(one.samples) for one in known]
    return {
        moment - part / 2: [
            msgspec.structs.replace(one, samples=((moment - part / 2, own[moment]),))
            for one, own in zip(known, values, strict=True)
            if moment in own
        ]
        for moment in moments
    }


def counted(
    days: Mapping[int, Day], complete: Sequence[cohorts.Cohort], *, begins: float, day: float
) -> dict[int, Day]:
    """Days with more cohorts, by their number; `begins`: when day 0 began."""
    result = dict(days)
    for one in complete:
        number, answers = int((one.start - begins) // day), one.stable
        before = result.get(number, Day(0, 0, 0))
        result[number] = Day(
            before.rows + answers.rows, before.labelled + answers.labelled, before.wrong + answers.wrong
        )
    return result
