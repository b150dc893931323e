"""What is counted of answers with a token, and of the labels and events that came back for them.

Everything is counted by the time of the *request*, in a ring of cohorts: two revisions' answers of one cohort have had
the same time to be judged, so late labels and early ones cannot be mistaken for bad and good answers. A cohort that
comes round again begins at zero, as after any restart. One event loop writes.

Labels and events name who answered: this pod's own revision, the other one whose answers are newest, or `other`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, get_args

import msgspec

Reason = Literal["BadToken", "Late", "Duplicate", "UnknownEvent", "BadLabel", "BadEntry"]
REASONS: tuple[Reason, ...] = get_args(Reason)
COUNT = 32
"""Cohorts of the ring; a horizon has 24 of them, or 30 of a minute."""
OTHER = "other"


def length(horizon: int) -> int:
    """Seconds of a cohort, when labels may come so many seconds after the request."""
    return max(60, horizon // 24)


class _Arm:
    """Of one revision's answers."""

    def __init__(self, events: Sequence[str], classes: int) -> None:
        self.right, self.wrong = [0] * COUNT, [0] * COUNT
        self.events = {event: [0] * COUNT for event in events}
        self.value, self.squared = [0.0] * COUNT, [0.0] * COUNT
        self.confusion = [[0] * classes for _ in range(classes)]

    def clear(self, place: int) -> None:
        for counts in (self.right, self.wrong, *self.events.values()):
            counts[place] = 0
        self.value[place] = self.squared[place] = 0.0


class Shape(msgspec.Struct, frozen=True):
    """What is counted: by cohorts of so many seconds, these events, mistakes between these classes."""

    length: int
    events: tuple[str, ...] = ()
    values: bool = False
    classes: tuple[str, ...] = ()


class Cohorts:
    """The counters of one process; another shape begins at zero."""

    def __init__(self, shape: Shape, *, own: str) -> None:
        self.shape, self._own = shape, own
        self.rows = [0] * COUNT
        self._arms = {own: self._arm()}
        self._other, self._other_second = "", -1
        self._newest = 0

    def answered(self, second: int, rows: int) -> None:
        """So many rows were answered with a token."""
        self.rows[self._place(second)] += rows

    def arm(self, revision: str, second: int) -> _Arm:
        """Who is counted for an answer of this revision, given in this second."""
        if revision == self._own:
            return self._arms[revision]
        if revision != self._other:
            if second <= self._other_second:
                return self._arms.setdefault(OTHER, self._arm())
            self._arms.pop(self._other, None)
            self._other = revision
        self._other_second = max(self._other_second, second)
        return self._arms.setdefault(revision, self._arm())

    def labelled(self, arm: _Arm, second: int, *, right: bool) -> None:
        """One row's label."""
        (arm.right if right else arm.wrong)[self._place(second)] += 1

    def confused(self, arm: _Arm, predicted: str, actual: str) -> None:
        """The same, by the names of the classes."""
        classes = self.shape.classes
        if predicted in classes and actual in classes:
            arm.confusion[classes.index(predicted)][classes.index(actual)] += 1

    def happened(self, arm: _Arm, second: int, event: str) -> None:
        """One of the events."""
        arm.events[event][self._place(second)] += 1

    def valued(self, arm: _Arm, second: int, value: float) -> None:
        """A row brought so much."""
        place = self._place(second)
        arm.value[place] += value
        arm.squared[place] += value * value

    def roll(self, now: int) -> None:
        """Cohorts that have come round again begin at zero."""
        number = now // self.shape.length
        for one in range(max(self._newest + 1, number - COUNT + 1), number + 1):
            self.rows[one % COUNT] = 0
            for arm in self._arms.values():
                arm.clear(one % COUNT)
        self._newest = max(self._newest, number)

    def lines(self, pairs: str) -> Iterator[str]:
        """In Prometheus' text format, without a family's head where it has no series."""
        yield from _family("cohort_seconds", "gauge", "Length of a cohort of requests.")
        yield f"seatrial_cohort_seconds{{{pairs}}} {self.shape.length}\n"
        yield from _family("cohort_rows_total", "counter", "Rows answered with a token, by the time of the request.")
        yield from _by_cohort(f"seatrial_cohort_rows_total{{{pairs}", self.rows)
        arms = {name: f'{{{pairs},answered_by="{name}"' for name in self._arms}
        yield from _family("feedback_rows_total", "counter", "Rows with a label, by whether the answer was right.")
        for name, arm in self._arms.items():
            for outcome, counts in (("right", arm.right), ("wrong", arm.wrong)):
                yield from _by_cohort(f'seatrial_feedback_rows_total{arms[name]},outcome="{outcome}"', counts)
        yield from _family("feedback_events_total", "counter", "Rows after which something happened.")
        for name, arm in self._arms.items():
            for event, counts in arm.events.items():
                yield from _by_cohort(f'seatrial_feedback_events_total{arms[name]},event="{event}"', counts)
        if self.shape.values:
            yield from self._values(arms)
        yield from self._confusion(arms)

    def _values(self, arms: Mapping[str, str]) -> Iterator[str]:
        yield from _family("feedback_value_total", "counter", "What rows brought, each at most the cap.")
        for name, arm in self._arms.items():
            yield from _by_cohort(f"seatrial_feedback_value_total{arms[name]}", arm.value)
        yield from _family("feedback_value_squared_total", "counter", "The squares of what rows brought.")
        for name, arm in self._arms.items():
            yield from _by_cohort(f"seatrial_feedback_value_squared_total{arms[name]}", arm.squared)

    def _confusion(self, arms: Mapping[str, str]) -> Iterator[str]:
        classes = self.shape.classes
        yield from _family("feedback_confusion_total", "counter", "Rows with a label, by the answer and the label.")
        for name, arm in self._arms.items():
            for predicted, row in zip(classes, arm.confusion, strict=True):
                for actual, count in zip(classes, row, strict=True):
                    said = f'predicted="{escaped(predicted)}",actual="{escaped(actual)}"'
                    yield f"seatrial_feedback_confusion_total{arms[name]},{said}}} {count}\n"

    def _place(self, second: int) -> int:
        number = second // self.shape.length
        if number > self._newest:
            self.roll(second)
        return number % COUNT

    def _arm(self) -> _Arm:
        return _Arm(self.shape.events, len(self.shape.classes))


def refusals(counts: Mapping[Reason, int], pairs: str) -> Iterator[str]:
    """The same for entries that were refused."""
    yield from _family("feedback_refused_total", "counter", "Entries of feedback that were refused.")
    for reason, count in counts.items():
        yield f'seatrial_feedback_refused_total{{{pairs},reason="{reason}"}} {count}\n'


def escaped(text: str) -> str:
    """As the value of a label."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _family(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP seatrial_{name} {text}\n# TYPE seatrial_{name} {kind}\n"


def _by_cohort(start: str, counts: Sequence[float]) -> Iterator[str]:
    for place, count in enumerate(counts):
        yield f'{start},cohort="{place}"}} {count}\n'
