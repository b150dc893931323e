"""All tests of a column after one more hour: its past, how noisy it was, and the evidence in each window.

Everything is [...] over further axes, so that a simulation of a thousand columns runs what the operator runs for one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from seatrial.drift import phi, season, sets, windows
from seatrial.drift.columns import Floats
from seatrial.drift.season import Season
from seatrial.drift.tests import Question, Test


@dataclasses.dataclass(frozen=True)
class Trace:
    """What is remembered of one column."""

    past: windows.Past
    noise: Mapping[Question, phi.Noise]


@dataclasses.dataclass(frozen=True)
class Look:
    """One test over one window: counts [..., bins] of the question, what each set may have [sets], the rest [...].

    `room` is what a window of days may stray beyond `most`.
    """

    test: Test
    window: windows.Window
    counts: Floats
    dispersion: Floats
    most: Floats
    room: Floats
    log_evidence: Floats


def begin(at: int, shape: tuple[int, ...]) -> Trace:
    """Before hour `at`; `shape` is that of an hour's counts."""
    return Trace(windows.begin(at, shape), {})


def after(trace: Trace, at: int, pods: Floats, *, tests: Sequence[Test], seen: bool) -> Trace:
    """One more hour: rows by pod, [pods, ..., places]. `seen`: whether these are nearly all pods."""
    past = windows.after(trace.past, at, pods.sum(axis=0), seen=seen)
    parts = _parts(trace.past, past, pods) if seen else None
    pair = past.days[-2:] if past.ends_day and len(past.days) > 1 and past.whole_days[-2:].all() else None
    noise = dict(trace.noise)
    for test in tests:
        one = noise.get(test.question, phi.UNKNOWN)
        if parts is not None:
            one = phi.after_hour(one, test.counted(parts))
        if pair is not None:
            one = phi.after_day(one, *test.counted(pair))
        noise[test.question] = one
    return Trace(past, noise)


def looks(trace: Trace, tests: Sequence[Test], *, of: Season) -> Iterator[Look]:
    """The evidence of each test in each window that is looked at now."""
    for window in windows.of(trace.past, of):
        for test in tests:
            yield look(trace, test, window, of=of)


def look(trace: Trace, test: Test, window: windows.Window, *, of: Season) -> Look:
    """The evidence of one test in one window."""
    counts = test.counted(window.counts)
    dispersion = _dispersion(trace, test, window)
    most, room = test.most, np.zeros(counts.shape[:-1])
    if window.length is windows.Length.HOUR:
        most = test.gross
    elif test.question is Question.SHAPE and window.length is windows.Length.DAYS and of is Season.AUTO:
        room = _room(trace, test, window)
    terms = sets.log_terms(counts, test.chosen, most + room[..., None] if room.any() else most, test.excesses)
    return Look(test, window, counts, dispersion, most, room, sets.log_evidence(terms, dispersion))


def _parts(before: windows.Past, past: windows.Past, pods: Floats) -> Floats | None:
    """What is compared for noise: pods, or with one of them two hours that follow each other."""
    if len(pods) > 1:
        return pods
    follows = len(before.hours_seen) > 0 and before.hours_seen[-1] and before.at == past.at - 1
    return np.stack([before.hours[-1], past.hours[-1]]) if follows else None


def _dispersion(trace: Trace, test: Test, window: windows.Window) -> Floats:
    """Rare values are at least as clumped as the column's rows are; an hour knows nothing of how days differ."""
    own = trace.noise.get(test.question, phi.UNKNOWN)
    shape = trace.noise.get(Question.SHAPE, own)
    if window.length is windows.Length.HOUR:
        return np.maximum(phi.pods(own), phi.pods(shape))
    return np.maximum(phi.of(own), phi.of(shape))


def _room(trace: Trace, test: Test, window: windows.Window) -> Floats:
    """What days strayed by in a week that had ended before the window began."""
    past = trace.past
    week = season.week(past.whole_days, before=window.before)
    if week is None:
        return np.full(window.counts.shape[:-1], season.FIRST_WEEK)
    noise = phi.pods(trace.noise.get(test.question, phi.UNKNOWN))
    return season.stray(test.counted(past.days[week]), noise)
