"""Columns of one form as one: a look at 64 of them takes little longer than a look at one.

numpy's price is the call. Columns with the same bins and the same gaps in their past are put side by side, on an axis
before the bins, and are taken apart again for what is remembered and said of each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

import numpy as np

from seatrial.drift import columns as columns_
from seatrial.drift import course, phi
from seatrial.drift.columns import Array, Column, Floats
from seatrial.drift.course import Look, Trace
from seatrial.drift.tests import Test

Asked = tuple[Column, tuple[Test, ...]]


@dataclasses.dataclass(frozen=True)
class Block:
    """Some columns with their questions. `tests` and `trace` have an axis of columns, of which `asked` is the order."""

    asked: tuple[Asked, ...]
    tests: tuple[Test, ...]
    trace: Trace

    def apart(self) -> Iterator[tuple[str, Trace]]:
        """What is to be remembered of each column, by its name."""
        past, noise = self.trace.past, self.trace.noise
        for place, (column, _) in enumerate(self.asked):
            own = dataclasses.replace(past, hours=past.hours[:, place], days=past.days[:, place])
            yield column.name, Trace(own, {question: _noise_of(one, place) for question, one in noise.items()})

    def look(self, look: Look, place: int) -> Look:
        """One of the columns' part of a look at them all."""
        (test,) = [one for one in self.asked[place][1] if one.question is look.test.question]
        return Look(
            test=test,
            window=dataclasses.replace(look.window, counts=look.window.counts[place]),
            counts=look.counts[place],
            dispersion=np.broadcast_to(look.dispersion, look.room.shape)[place],
            most=look.most[place],
            room=look.room[place],
            log_evidence=look.log_evidence[place],
        )


def blocks(asked: Sequence[Asked], traces: Mapping[str, Trace], *, at: int) -> list[Block]:
    """All columns, of which those without a trace begin at this hour."""
    found: dict[Hashable, list[tuple[Asked, Trace | None]]] = {}
    for one in asked:
        trace = traces.get(one[0].name)
        found.setdefault((_form(*one), None if trace is None else _gaps(trace)), []).append((one, trace))
    return [_block([one for one, _ in members], [trace for _, trace in members], at) for members in found.values()]


def _form(column: Column, tests: Sequence[Test]) -> Hashable:
    return column.ordered, columns_.places(column), tuple((test.question, test.chosen.shape) for test in tests)


def _gaps(trace: Trace) -> Hashable:
    """What a past must have in common with another, to stand beside it."""
    past = trace.past
    pairs = tuple(sorted((question, noise.pairs) for question, noise in trace.noise.items()))
    return past.at, past.hours_seen.tobytes(), past.days_seen.tobytes(), pairs


def _block(asked: list[Asked], traces: list[Trace | None], at: int) -> Block:
    tests = tuple(map(_stacked, zip(*(own for _, own in asked), strict=True)))
    known = [trace for trace in traces if trace is not None]
    if not known:
        return Block(tuple(asked), tests, course.begin(at, (len(asked), columns_.places(asked[0][0]))))
    first = known[0]
    past = dataclasses.replace(
        first.past,
        hours=np.stack([trace.past.hours for trace in known], axis=1),
        days=np.stack([trace.past.days for trace in known], axis=1),
    )
    noise = {question: _noise([trace.noise[question] for trace in known]) for question in first.noise}
    return Block(tuple(asked), tests, Trace(past, noise))


def _stacked(tests: tuple[Test, ...]) -> Test:
    """One question to all columns. What words need of it is left with each column's own."""
    first = tests[0]
    same = all(test.pick is first.pick for test in tests)
    return dataclasses.replace(
        first,
        pick=first.pick if same else np.stack([test.pick for test in tests]),
        reference=np.stack([test.reference for test in tests]),
        most=np.stack([test.most for test in tests]),
        gross=np.stack([test.gross for test in tests]),
    )


def _noise(of: Sequence[phi.Noise]) -> phi.Noise:
    def together(read: Callable[[phi.Noise], Floats]) -> Array:
        return np.array([float(read(one)) for one in of])

    return phi.Noise(
        pods=phi.Sums(together(lambda one: one.pods.squares), together(lambda one: one.pods.freedom)),
        days=phi.Sums(together(lambda one: one.days.squares), together(lambda one: one.days.freedom)),
        pairs=of[0].pairs,
    )


def _noise_of(noise: phi.Noise, place: int) -> phi.Noise:
    def own(sums: phi.Sums) -> phi.Sums:  # what was never added to is one number for all
        return sums if sums.squares.ndim == 0 else phi.Sums(sums.squares[place], sums.freedom[place])

    return phi.Noise(own(noise.pods), own(noise.days), noise.pairs)
