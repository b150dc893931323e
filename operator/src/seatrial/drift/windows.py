"""Over which time rows are added up: the last hour, the last day, and whole days up to four weeks.

A column's past is 24 hours and 28 days of counts; time that was not seen stays in it as a gap, and a window with more
than a tenth of gaps is not looked at.
"""

from __future__ import annotations

import dataclasses
import enum

import numpy as np
import numpy.typing as npt

from seatrial.drift import season as season_
from seatrial.drift.columns import Array, Floats
from seatrial.drift.season import Season

DAY = 24
"""Hours."""
DAYS = (2, 3, 5)
WEEKS = (7, 14, 28)
MOST_DAYS = 28
SEEN = 0.9


@dataclasses.dataclass(frozen=True)
class Past:
    """Counts by hour and by day, the newest last: [time, ..., places]. `at` is the last hour, from the epoch."""

    at: int
    hours: Floats
    hours_seen: npt.NDArray[np.bool_]
    days: Floats
    days_seen: npt.NDArray[np.int64]  # hours

    @property
    def whole_days(self) -> npt.NDArray[np.bool_]:
        """Which days were seen well enough to stand for a day."""
        return np.asarray(self.days_seen >= SEEN * DAY)

    @property
    def ends_day(self) -> bool:
        """Whether the last hour is a day's last."""
        return self.at % DAY == DAY - 1


class Length(enum.Enum):
    """What a window is held against."""

    HOUR = "hour"
    DAYS = "days"
    WEEKS = "weeks"


@dataclasses.dataclass(frozen=True)
class Window:
    """Rows of some time, up to now: [..., places]. `before`: how many of the past's whole days it reaches into."""

    length: Length
    hours: int
    counts: Floats
    before: int


def begin(at: int, shape: tuple[int, ...]) -> Past:
    """The moment before hour `at`, of which nothing is known."""
    nothing = np.zeros((0, *shape))
    return Past(at - 1, nothing, np.zeros(0, np.bool_), nothing, np.zeros(0, np.int64))


def after(past: Past, at: int, counts: Array, *, seen: bool) -> Past:
    """One more hour; hours that were left out, and those in which too few pods were seen, are gaps.

    Raises:
        ValueError: the hour isn't later than the last one.
    """
    if at <= past.at:
        raise ValueError(f"hour {at} must be later than hour {past.at}")
    if at - past.at > MOST_DAYS * DAY:
        past = begin(at, counts.shape)
    while past.at < at - 1:
        past = _with_hour(past, np.zeros_like(counts), seen=False)
    return _with_hour(past, counts if seen else np.zeros_like(counts), seen=seen)


def of(past: Past, season: Season) -> list[Window]:
    """What is looked at now."""
    result = []
    if past.hours_seen[-1]:
        result.append(Window(Length.HOUR, 1, past.hours[-1], 1))
    if season is not Season.WEEK and _seen(int(past.hours_seen.sum()), DAY):
        result.append(Window(Length.DAYS, DAY, past.hours.sum(axis=0), 1))
    if past.ends_day:
        result += [_whole(past, days, Length.DAYS) for days in DAYS if season is not Season.WEEK and _full(past, days)]
        result += [_whole(past, days, Length.WEEKS) for days in WEEKS if _full(past, days)]
    return result


def filled(past: Past, season: Season) -> bool:
    """Whether a whole season was seen up to now, without which nothing can be said of shapes: a day, or a week."""
    if season is Season.WEEK:
        return _full(past, season_.WEEK)
    return _seen(int(past.hours_seen.sum()), DAY)


def last(past: Past, days: int) -> Floats | None:
    """Rows of the last whole days, if they were seen."""
    return past.days[-days:].sum(axis=0) if _full(past, days) else None


def _whole(past: Past, days: int, length: Length) -> Window:
    return Window(length, days * DAY, past.days[-days:].sum(axis=0), days)


def _full(past: Past, days: int) -> bool:
    return len(past.days) >= days and _seen(int(past.days_seen[-days:].sum()), days * DAY)


def _seen(hours: int, of: int) -> bool:
    return hours >= SEEN * of


def _with_hour(past: Past, counts: Array, *, seen: bool) -> Past:
    hours = np.concatenate([past.hours[-(DAY - 1) :], counts[None]])
    hours_seen = np.append(past.hours_seen[-(DAY - 1) :], seen)
    now = dataclasses.replace(past, at=past.at + 1, hours=hours, hours_seen=hours_seen)
    if not now.ends_day:
        return now
    days = np.concatenate([past.days[-(MOST_DAYS - 1) :], hours.sum(axis=0)[None]])
    days_seen = np.append(past.days_seen[-(MOST_DAYS - 1) :], hours_seen.sum())
    return dataclasses.replace(now, days=days, days_seen=days_seen)
