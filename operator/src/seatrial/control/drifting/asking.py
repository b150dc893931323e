"""The hours of a revision's traffic: asked of Prometheus in pieces that fit, or read off the pods where it is none."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence

import msgspec

from seatrial.api import spec
from seatrial.control import resting, sources
from seatrial.control.drifting import believing, direct
from seatrial.drift import columns as columns_
from seatrial.drift import schedule, totals, watch
from seatrial.drift.columns import Column, Kind
from seatrial.prometheus import errors, query
from seatrial.rollout import facts, names

SETTLED_PARTS = 12
"""A pod counts as one that must have been seen if it was there this part of an hour before its end."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Which hours of which revision, from the first to the last, and the pods that the API server shows of it."""

    owner: facts.Owner
    revision: str
    source: spec.PrometheusSource | None
    columns: tuple[Column, ...]
    pods: tuple[facts.Pod, ...]
    hours: schedule.Hours
    first: int
    last: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The hours that could be had, in order; `lacking` says in words why some or all are missing."""

    hours: tuple[watch.Hour, ...]
    lacking: str = ""


class Asking:
    """Asks for many objects. `pods` reads them directly."""

    def __init__(
        self, origin: sources.Sources, pods: direct.Direct, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._sources, self._pods, self._resting = origin, pods, resting.Resting(monotonic)
        self._fits: dict[str, int] = {}  # by uid: columns of a piece, where not all fit

    def forget(self, uid: str) -> None:
        self._fits.pop(uid, None)
        self._pods.forget(uid)

    async def ask(self, asked: Question) -> Answer:
        """Raises PrometheusError: it has to be asked again."""
        believed = believing.Believed(
            asked.pods,
            namespace=asked.owner.namespace,
            prefix=f"{names.of_revision(asked.owner.name, asked.revision)}-",
        )
        if self._sources.named(asked.source):
            found = await self._from_prometheus(asked)
        else:
            found = await self._pods.read(asked.owner, asked.revision, asked.pods, hours=asked.hours, last=asked.last)
        seconds = asked.hours.seconds
        started = {pod.name: pod.started_at.timestamp() for pod in asked.pods if pod.started_at is not None}
        work = functools.partial(
            totals.hours, found, asked.columns, seconds=seconds, whose=believed.whose, started=started
        )
        try:
            hours = await self._sources.worked_out(work)
        except ValueError as error:
            raise errors.PrometheusUnavailable(f"its answer can't be used: {error}") from error
        return Answer(hours=_with_expected(asked, hours), lacking=_lacking(asked, hours, believed))

    async def _from_prometheus(self, asked: Question) -> totals.Answer:
        """One answer of as many questions as it takes."""
        hourly = sources.Hourly(
            namespace=asked.owner.namespace,
            source=asked.source,
            start=asked.hours.begin(asked.first),
            end=asked.hours.end(asked.last),
            step=asked.hours.seconds,
        )
        where = resting.place(asked.owner.namespace, asked.source)
        return await self._resting.asked(where, lambda: self._in_pieces(asked, hourly))

    async def _in_pieces(self, asked: Question, hourly: sources.Hourly) -> totals.Answer:
        series: list[totals.Series] = []
        pieces = _pieces(asked.columns, self._fits.get(asked.owner.uid))
        while pieces:
            piece = pieces.pop(0)
            try:
                for expression in _expressions(asked, piece):
                    found = await self._sources.totals(hourly, expression)
                    series += found.data.result
            except errors.AnswerTooLarge:
                if len(piece) == 1:
                    raise
                half = (len(piece) + 1) // 2
                self._fits[asked.owner.uid] = half
                pieces = [piece[:half], piece[half:], *pieces]
        return totals.Answer(status="success", data=totals.Data(result_type="matrix", result=tuple(series)))


def _pieces(columns: Sequence[Column], most: int | None) -> list[Sequence[Column]]:
    size = most or len(columns)
    return [columns[start : start + size] for start in range(0, len(columns), size)]


def _expressions(asked: Question, piece: Sequence[Column]) -> list[str]:
    subject = query.Subject(namespace=asked.owner.namespace, name=asked.owner.name, revisions=(asked.revision,))
    seconds = asked.hours.seconds
    if len(piece) == len(asked.columns):
        return [query.rows(subject, seconds=seconds)]
    by_kind = {kind: [columns_.labelled(one) for one in piece if one.kind is kind] for kind in Kind}
    found = []
    if features := by_kind[Kind.FEATURE]:
        found.append(query.rows(subject, seconds=seconds, features=features))
    if outputs := by_kind[Kind.PREDICTION]:
        found.append(query.rows(subject, seconds=seconds, outputs=outputs))
    if by_kind[Kind.ATTRIBUTION]:
        found.append(query.rows(subject, seconds=seconds, attributions=True))
    return found


def _with_expected(asked: Question, hours: Sequence[watch.Hour]) -> tuple[watch.Hour, ...]:
    """The newest hour with as many pods as the API server shows; of the others nobody knows how many there were."""
    end = asked.hours.end(asked.last) - asked.hours.seconds / SETTLED_PARTS
    there = [pod for pod in asked.pods if pod.ready and pod.alive and pod.started_at is not None]
    expected = sum(pod.started_at is not None and pod.started_at.timestamp() <= end for pod in there)
    return tuple(
        msgspec.structs.replace(hour, ready=max(hour.ready or 0, expected)) if hour.at == asked.last else hour
        for hour in hours
    )


def _lacking(asked: Question, hours: Sequence[watch.Hour], believed: believing.Believed) -> str:
    if hours and hours[-1].at == asked.last:
        return ""
    if believed.foreign:
        return (
            f"there are such counters only of {', '.join(sorted(believed.foreign))}, which are not pods of revision "
            f"{asked.revision} as the API server shows them; the scrape job must keep the labels namespace and pod"
        )
    return f"no counters of the pods of revision {asked.revision} were found for the last hour"
