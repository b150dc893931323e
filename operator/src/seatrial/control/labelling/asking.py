"""What came back for answers of the version that serves, asked of Prometheus: cohorts, classes, and confidence.

Labels go to any pod of any revision, so all of them are asked, and each is believed as for drift.
"""

from __future__ import annotations

import collections
import functools
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from seatrial.analysis import cohorts as cohorts_
from seatrial.analysis import promised
from seatrial.api import spec
from seatrial.control import resting, sources
from seatrial.control.drifting import believing
from seatrial.drift import columns as columns_
from seatrial.drift import totals
from seatrial.drift.columns import Column
from seatrial.prometheus import errors, matching, query
from seatrial.rollout import facts, names

_Result = TypeVar("_Result")
REFUSED = "seatrial_feedback_refused_total"
LONGEST = 64
"""Parts of cohorts that are asked for at once; fewer where the answer does not fit."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whose labels: a revision's, counted by these pods of any revision."""

    owner: facts.Owner
    revision: str
    source: spec.PrometheusSource | None
    pods: tuple[facts.Pod, ...]

    def hourly(self, *, start: int, end: int, step: int) -> sources.Hourly:
        return sources.Hourly(namespace=self.owner.namespace, source=self.source, start=start, end=end, step=step)

    @property
    def question(self) -> query.Subject:
        return query.Subject(namespace=self.owner.namespace, name=self.owner.name, revisions=(self.revision,))


class Classes(msgspec.Struct, frozen=True):
    """Of the labels that pods know of: rows by predicted and by actual class, and refused entries by reason."""

    predicted: Mapping[str, int] = {}
    actual: Mapping[str, int] = {}
    refused: Mapping[str, int] = {}


class Asking:
    """Asks for many objects."""

    def __init__(self, origin: sources.Sources, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._sources, self._resting = origin, resting.Resting(monotonic)

    def named(self, source: spec.PrometheusSource | None) -> bool:
        """Whether there is a Prometheus to ask."""
        return self._sources.named(source)

    async def cohorts(self, asked: Subject, *, start: int, end: int, step: int) -> list[cohorts_.Series]:
        """The highest totals in each part up to `end`; the first ends with `start`. Raises PrometheusError."""
        return await self._rested(asked, lambda: self._in_pieces(asked, start=start, end=end, step=step))

    async def _in_pieces(self, asked: Subject, *, start: int, end: int, step: int) -> list[cohorts_.Series]:
        found, most = list[cohorts_.Series](), LONGEST
        expression = query.cohorts_at_most(asked.question, seconds=step)
        while start <= end:
            until = min(end, start + (most - 1) * step)
            try:
                answer = await self._sources.totals(asked.hourly(start=start, end=until, step=step), expression)
            except errors.AnswerTooLarge:
                if most == 1:
                    raise
                most = (most + 1) // 2
                continue
            found += await self._sources.worked_out(functools.partial(_series, asked, answer))
            start = until + step
        return found

    async def classes(self, asked: Subject, *, at: int, seconds: int) -> Classes:
        """Raises PrometheusError."""
        expression = query.labels_by_class(asked.question, seconds=seconds)
        hourly = asked.hourly(start=at, end=at, step=seconds)
        answer = await self._rested(asked, lambda: self._sources.totals(hourly, expression))
        return _classes(asked, answer)

    async def confidence(self, asked: Subject, column: Column, *, start: int, end: int) -> tuple[float, ...]:
        """Rows by tenth of the highest score, between two moments. Raises PrometheusError."""
        seconds = end - start
        expression = query.rows(asked.question, seconds=seconds, outputs=[columns_.labelled(column)])
        hourly = asked.hourly(start=start, end=end, step=seconds)
        answer = await self._rested(asked, lambda: self._sources.totals(hourly, expression))
        started = {pod.name: pod.started_at.timestamp() for pod in asked.pods if pod.started_at is not None}
        try:
            found = totals.hours(answer, (column,), seconds=seconds, whose=_Whose(asked), started=started)
        except ValueError as error:
            raise errors.PrometheusUnavailable(f"its answer can't be used: {error}") from error
        rows = [pod.rows.get(column.name, ()) for hour in found for pod in hour.pods]
        return tuple(float(sum(one[2 + place] for one in rows if one)) for place in range(promised.BINS))

    async def _rested(self, asked: Subject, question: Callable[[], Awaitable[_Result]]) -> _Result:
        return await self._resting.asked(resting.place(asked.owner.namespace, asked.source), question)


class _Whose:
    """The pod's name that a series is of; None: nobody's who is to be believed."""

    def __init__(self, asked: Subject) -> None:
        self._asked = asked
        self._known: dict[str, believing.Believed] = {}

    def __call__(self, labels: Mapping[str, str]) -> str | None:
        revision, asked = labels.get("revision", ""), self._asked
        if revision not in self._known:
            self._known[revision] = believing.Believed(
                [pod for pod in asked.pods if pod.revision == revision],
                namespace=asked.owner.namespace,
                prefix=f"{names.of_revision(asked.owner.name, revision)}-",
            )
        return self._known[revision].whose(labels)


def _series(asked: Subject, answer: totals.Answer) -> list[cohorts_.Series]:
    whose, found = _Whose(asked), []
    for one in answer.data.result:
        labels, cohort = one.metric, one.metric.get("cohort", "")
        pod = whose(labels)
        if pod is None or not cohort.isdecimal() or int(cohort) >= cohorts_.COUNT:
            continue
        found.append(
            cohorts_.Series(
                pod=pod,
                kind=_KINDS.get(labels.get("outcome", ""), cohorts_.Kind.ROWS),
                by=labels.get("answered_by", "") or labels.get("revision", ""),
                cohort=int(cohort),
                target=matching.target({name: text for name, text in labels.items() if name not in _OWN}),
                samples=_samples(one.values),
            )
        )
    return found


_KINDS = {"right": cohorts_.Kind.RIGHT, "wrong": cohorts_.Kind.WRONG}
_OWN = frozenset({"answered_by", "cohort"})


def _samples(values: Sequence[tuple[float, str]]) -> tuple[tuple[float, float], ...]:
    return tuple((at, count) for at, text in values if (count := _count(text)) is not None)


def _classes(asked: Subject, answer: totals.Answer) -> Classes:
    whose = _Whose(asked)
    predicted, actual, refused = (collections.Counter[str]() for _ in range(3))
    for one in answer.data.result:
        labels = one.metric
        if whose(labels) is None or not one.values or (count := _count(one.values[-1][1])) is None:
            continue
        if labels.get("__name__") == REFUSED:
            refused[labels.get("reason", "")] += count
        else:
            predicted[labels.get("predicted", "")] += count
            actual[labels.get("actual", "")] += count
    return Classes(predicted, actual, refused)


def _count(text: str) -> int | None:
    """A total; None where somebody exports what can't be one."""
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if math.isfinite(value) and 0 <= value < 2**53 else None
