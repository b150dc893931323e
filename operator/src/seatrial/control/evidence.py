"""Evidence beside the loop: one task for each object that is judged, so that no pass ever waits for a metric.

    reconcile pass --- question ---> Evidence --- newest look, at once ---> planner
                                        |  one watch per object
                                        |-- asks Prometheus once per interval, only for what is new
                                        |-- reads the pods themselves every second while a candidate has traffic
                                        '-- counts and judges in a thread, rings the queue when a look is new

A watch lives as long as its subject: another window ends it and its look is forgotten. A regression once proven
stays the look of its subject. Sources that don't answer make the look blind, each within its own time-out.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from seatrial.analysis import own_metrics
from seatrial.analysis.slots import Slot
from seatrial.api import spec
from seatrial.cluster.errors import ClusterError
from seatrial.control import queue, returned, sources
from seatrial.prometheus import client, errors, ledger, matching, query
from seatrial.rollout import facts, looking, looks, returns, tally

_LOG = logging.getLogger(__name__)

SETTLE = 0.25  # seconds until a scrape at the very end of a slot can be asked for
EVERY_SECOND = 1.0
READ_AT = 0.6  # of a second of the window: far from the ends of its slots
UNHURRIED = 5.0  # seconds between looks where no candidate has traffic
OVERLAP = timedelta(seconds=60)  # asked for once more: stores behind Prometheus lag
RUN_UP = timedelta(minutes=6)  # three scrapes, two minutes apart
LONGEST_PIECE = timedelta(minutes=30)
SHORTEST_PIECE = timedelta(seconds=15)
GIVEN_UP = timedelta(minutes=15)  # without an answer, until slots are closed with what the pods told
SHARE_OF_CPU = 0.2  # that the looks at one object may take

Ring = Callable[[queue.Key], None]


class Looks(Protocol):
    """Where a pass gets its look from, without waiting."""

    def newest(self, key: queue.Key, question: looking.Question | None) -> looks.Look | None: ...

    def forget(self, key: queue.Key) -> None: ...


class Evidence:
    """Looks, kept new.

    Args:
        ring: called when a key has a look that a pass should see.
        clock: the API server's time.
    """

    def __init__(self, origin: sources.Sources, *, ring: Ring, clock: Callable[[], datetime]) -> None:
        self._sources = origin
        self._ring = ring
        self._clock = clock
        self._watches: dict[queue.Key, _Watch] = {}

    def newest(self, key: queue.Key, question: looking.Question | None) -> looks.Look | None:
        """The newest look at the question's subject, None before the first. Without a question nothing is watched.

        Never waits. A window that has just begun counts as seen: nothing can have happened in it.
        """
        known = self._watches.get(key)
        if question is None:
            self.forget(key)
            return None
        if known is None or known.question.subject != question.subject:
            carried, feedback = _carried(known, question), _feedback(known, question)
            self.forget(key)
            ring = self._ring
            self._watches[key] = _Watch(
                question,
                self._sources,
                ring=lambda: ring(key),
                clock=self._clock,
                carried=carried,
                feedback=feedback,
            )
            return looking.begun(question, self._clock())
        known.question, now = question, self._clock()
        return looking.begun(question, now) if known.look is None else looking.aged(known.look, question, now)

    def forget(self, key: queue.Key) -> None:
        """The object is gone, or nothing of it is judged."""
        watch = self._watches.pop(key, None)
        if watch is not None:
            watch.cancel()

    async def close(self) -> None:
        """Ends every watch."""
        watches = list(self._watches.values())
        for key in list(self._watches):
            self.forget(key)
        await asyncio.gather(*(watch.ended() for watch in watches))
        self._sources.close()


def _carried(known: _Watch | None, question: looking.Question) -> tuple[Slot, ...]:
    """What was counted of the same stable version before this window, for a world without Prometheus."""
    if known is None or known.question.window.stable != question.window.stable or known.look is None:
        return ()
    record = (*known.look.history, *known.look.slots)
    most = round(looking.HISTORY / question.analysis.interval)
    return record[-most:]


def _feedback(known: _Watch | None, question: looking.Question) -> returned.Feedback:
    """What came back for the same two revisions before this window: labels come late."""
    if known is None:
        return returned.Feedback()
    before, window = known.question.window, question.window
    same = (before.stable, before.candidate) == (window.stable, window.candidate)
    return known.feedback if same else returned.Feedback()


class _Watch:
    """One subject: its samples, its look, and the task that keeps both new."""

    def __init__(
        self,
        question: looking.Question,
        origin: sources.Sources,
        *,
        ring: Callable[[], None],
        clock: Callable[[], datetime],
        carried: tuple[Slot, ...],
        feedback: returned.Feedback,
    ) -> None:
        self.feedback = feedback
        self._came: returns.Returned | None = None
        self.question = question
        self.look: looks.Look | None = None
        self._sources = origin
        self._ring = ring
        self._clock = clock
        self._ledger = ledger.Ledger(question, carried=carried)
        self._counting = asyncio.Lock()
        self._said = _Said()
        self._asking: _Asking | None = None
        self._own: dict[str, collections.deque[own_metrics.Answer]] = {}
        self._rung_at = 0.0
        self._cost = 0.0
        self._listened = False
        self._task = asyncio.create_task(self._run(), name=f"evidence of {question.owner.name}")

    def cancel(self) -> None:
        self._task.cancel()

    async def ended(self) -> None:
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def _now(self) -> float:
        return self._clock().timestamp()

    @property
    def _done(self) -> bool:
        return self.look is not None and self.look.failed

    @property
    def _hurried(self) -> bool:
        """A candidate has traffic: its pods are read every second."""
        window = self.question.window
        return not window.sliding and not window.soak

    async def _run(self) -> None:
        """Both sources side by side. Whatever one object provokes, the next look is taken."""
        if self._sources.configured(self.question):
            self._said.configured = True
            self._asking = _Asking(self.question, self._clock())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(self._listen))
            if (asking := self._asking) is not None:
                group.create_task(self._repeat(lambda: self._scrape(asking)))

    async def _repeat(self, once: Callable[[], Awaitable[None]]) -> None:
        while not self._done:
            try:
                await once()
            except Exception as error:
                expected = isinstance(error, ClusterError)
                _LOG.log(
                    logging.WARNING if expected else logging.ERROR,
                    "look failed",
                    extra={"object": self.question.owner.name, "error": str(error)},
                    exc_info=None if expected else error,
                )
                await asyncio.sleep(EVERY_SECOND)

    async def _scrape(self, asking: _Asking) -> None:
        """Prometheus, once; then nothing until the end of the slot."""
        try:
            await asyncio.gather(self._catch_up(asking), self._ask_own_metrics(), self._ask_feedback())
        except errors.PrometheusError as error:
            self._said.prometheus = str(error)
            self._said.misconfigured = isinstance(error, errors.PrometheusRefused)
            await self._judge(final=False)
        else:
            if self._own or self._wants_feedback:
                await self._judge(final=False)
        await asyncio.sleep(self._until_slot_end())

    async def _catch_up(self, asking: _Asking) -> None:
        """From what is known to now, in pieces that fit. What may be partial is asked for again the next time."""
        since, whole = asking.known, True
        while True:
            now = self._clock()
            since = since if whole else max(since, now - asking.piece)
            until = min(now, since + asking.piece)
            latest = until == now
            try:
                answer = await self._sources.samples(
                    self.question,
                    revisions=asking.revisions(self.question, until),
                    since=since - OVERLAP,
                    until=until,
                )
            except errors.AnswerTooLarge:
                if asking.piece <= SHORTEST_PIECE:
                    raise
                asking.piece = max(asking.piece / 2, SHORTEST_PIECE)
                continue
            asking.answered = now
            self._said.prometheus, self._said.misconfigured = "", False
            self._said.partial = "; ".join(answer.warnings)
            if latest:
                await self._explain(answer)
            since, whole = until, whole and not answer.warnings
            await self._judge(answer, final=whole, until=until, publish=latest)
            asking.known = until if whole else asking.known
            if latest:
                return

    async def _ask_own_metrics(self) -> None:
        """Each expression once, as soon as the window is old enough for it to say something of the window."""
        asked, now = self.question, self._clock()
        age = now - asked.window.since
        if asked.window.sliding or age < asked.analysis.interval:
            return
        values = {
            "revision": asked.window.candidate,
            "stableRevision": asked.window.stable,
            "namespace": asked.owner.namespace,
            "name": asked.owner.name,
            "window": f"{round(age.total_seconds())}s",
        }
        metrics = asked.analysis.metrics
        for metric, answer in zip(
            metrics, await asyncio.gather(*(self._own_answer(one, values, now) for one in metrics)), strict=True
        ):
            self._own.setdefault(metric.name, collections.deque(maxlen=own_metrics.KEPT)).append(answer)

    @property
    def _wants_feedback(self) -> bool:
        asked = self.question
        wanted = asked.analysis.quality is not None or bool(asked.analysis.outcomes)
        return wanted and not asked.window.sliding

    async def _ask_feedback(self) -> None:
        if self._wants_feedback:
            await self.feedback.ask(self.question, self._sources, now=self._clock())
            self._came = None

    async def _own_answer(self, metric: spec.Metric, values: Mapping[str, str], now: datetime) -> own_metrics.Answer:
        try:
            found = await self._sources.vector(self.question, own_metrics.filled(metric, values), at=now)
        except (errors.PrometheusRefused, own_metrics.UnknownPlaceholder) as error:
            return own_metrics.Answer(at=now, error=str(error), misconfigured=True)
        except errors.PrometheusUnavailable as error:
            return own_metrics.Answer(at=now, error=str(error))
        numbers = tuple(value for _, value in found.values)
        return own_metrics.Answer(at=now, values=numbers, warnings=found.warnings)

    def _own_results(self, asked: looking.Question, now: datetime) -> list[own_metrics.Result]:
        if asked.window.sliding:
            return []
        nobody = own_metrics.Answer(at=now, error="no Prometheus is configured to ask", misconfigured=True)
        return [
            own_metrics.judge(
                metric,
                tuple(self._own.get(metric.name, ())) if self._said.configured else (nobody,),
                now=now,
                patience=asked.analysis.blind_timeout,
                scrape_interval=asked.scrape_interval,
            )
            for metric in asked.analysis.metrics
        ]

    async def _explain(self, answer: client.Answer) -> None:
        """Who else exports such counters, where none of ours came: a message that says what to change."""
        self._said.foreign = ""
        ours = matching.match(answer.series, asked=self.question).series
        if ours or self._ledger.live(self._now):
            return
        window, owner = self.question.window, self.question.owner
        subject = query.Subject(namespace=owner.namespace, name=owner.name, revisions=(window.stable, window.candidate))
        found = await self._sources.vector(self.question, query.exporters(subject), at=self._clock())
        if found.values:
            names = ", ".join(sorted({matching.whose(labels) for labels, _ in found.values}))
            self._said.foreign = (
                f"Prometheus has such series only of {names}, which are not pods of this deployment as the API server "
                "shows them; the scrape job must keep the labels namespace and pod, or instance as address and port"
            )

    async def _listen(self) -> None:
        """The pods themselves, once: every second while a candidate has traffic, and the first time at once, for what
        comes is counted from there.
        """
        every = max(self._every, self._cost / SHARE_OF_CPU)
        if self._listened or not self._hurried:
            await asyncio.sleep(self._until_reading(every))
        self._listened = True
        asked, began = self.question, self._now
        round_ = await self._sources.read(asked, now=lambda: self._now)
        self._said.pods = round_.trouble
        async with self._counting:
            await self._sources.computed(asked.owner.namespace, lambda: self._ledger.read(asked, round_, every=every))
        if not round_.expositions and self._said.configured:
            return  # nothing new; the look at Prometheus' answer says why
        ahead = until_second(began, since=self._ledger.since, now=self._now) if self._hurried else 0.0
        if asked.relay is None:
            await asyncio.sleep(ahead)
            ahead = 0.0
        now = self._clock()
        if not self._is_behind(now):
            await self._judge(final=self._may_settle(now), ahead=timedelta(seconds=ahead))

    @property
    def _every(self) -> float:
        if self._hurried:
            return EVERY_SECOND
        return min(UNHURRIED, self.question.analysis.interval.total_seconds())

    async def _judge(
        self,
        answer: client.Answer | None = None,
        *,
        final: bool = True,
        until: datetime | None = None,
        ahead: timedelta = timedelta(0),
        publish: bool = True,
    ) -> None:
        """Counts what there is up to a moment (now), and judges it.

        Args:
            ahead: how much of the present second is over for those who read it. Where stable's pods tell of both arms,
                one reading is all that a second has.
        """
        async with self._counting:
            asked, said, book = self.question, self._said, self._ledger
            now = until or self._clock()
            own = self._own_results(asked, now)

            def work() -> tuple[looks.Look | None, float]:
                began = time.thread_time()
                if answer is not None:
                    book.answered(answer.series)
                counted = book.count(asked, until=(now + ahead).timestamp(), final=final)
                sight = said.sight(live=book.live(now.timestamp()))
                if not publish:
                    return None, time.thread_time() - began
                found = looking.conclude(asked, counted, sight, now)
                if found.breach_at is not None:
                    found = msgspec.structs.replace(found, breach_at=min(found.breach_at, now))
                if self._wants_feedback:
                    self._came = self._came or self.feedback.judged(asked, found.slots, now=now)
                    found = returns.with_returned(found, self._came)
                return looking.with_own_metrics(found, own), time.thread_time() - began

            found, self._cost = await self._sources.computed(asked.owner.namespace, work)
        if found is not None and not self._done:
            self._publish(found)

    def _publish(self, found: looks.Look) -> None:
        """The pass hears of a change at once, and of new numbers once per interval."""
        before, self.look = self.look, found
        interval = self.question.analysis.interval.total_seconds()
        if before is None or _gist(before) != _gist(found) or self._now - self._rung_at >= interval - EVERY_SECOND / 2:
            self._rung_at = self._now
            self._ring()

    def _may_settle(self, now: datetime) -> bool:
        """Nothing more is expected of what is old: Prometheus has answered up to there, or was not needed."""
        asking = self._asking
        if asking is None or asking.known >= now - timedelta(seconds=tally.LATE):
            return True
        return self._ledger.covered or now - asking.answered >= GIVEN_UP

    def _is_behind(self, now: datetime) -> bool:
        """Prometheus answers, but has not yet told all of a window that began long ago."""
        asking = self._asking
        if asking is None or self._said.prometheus or self.question.window.sliding:
            return False
        late = timedelta(seconds=tally.LATE)
        return self.question.window.since < now - late and asking.known < now - late - self.question.analysis.interval

    def _until_slot_end(self) -> float:
        """Seconds to the end of the present slot and a moment more: a look is worth most right after one has ended."""
        interval = self.question.analysis.interval.total_seconds()
        if self.question.window.sliding:
            return min(interval, UNHURRIED)
        return interval - (self._now - self._ledger.since) % interval + SETTLE

    def _until_reading(self, every: float) -> float:
        """Seconds to the next reading, in the middle of a second of the window."""
        beyond = (self._now - self._ledger.since - READ_AT) % EVERY_SECOND
        return every - beyond if every > beyond else EVERY_SECOND - beyond


def until_second(began: float, *, since: float, now: float) -> float:
    """Seconds until the second of the window is over in which a reading began: its slot is then complete.

    None where reading took longer than that: the slot is complete already, and another second would only be lost.
    """
    end = began + EVERY_SECOND - (began - since) % EVERY_SECOND
    return max(0.0, end + 0.02 - now)


class _Asking:
    """How far Prometheus has told, and how much of it is asked for at once."""

    def __init__(self, question: looking.Question, now: datetime) -> None:
        window = question.window
        self.known = (now if window.sliding else window.since - looking.HISTORY) - RUN_UP
        self.piece = LONGEST_PIECE
        self.answered = now

    def revisions(self, question: looking.Question, until: datetime) -> tuple[str, ...]:
        """Of the hour before the window only stable's samples are needed."""
        window = question.window
        return (window.stable,) if until <= window.since - RUN_UP else (window.stable, window.candidate)


@dataclasses.dataclass
class _Said:
    """What the sources last said of themselves."""

    configured: bool = False
    prometheus: str = ""  # why it didn't answer
    misconfigured: bool = False
    partial: str = ""
    foreign: str = ""
    pods: str = ""  # why they can't be read

    def sight(self, *, live: bool) -> facts.Sight:
        """The pods carry on alone when Prometheus does not answer, and the other way round."""
        if live:
            answering = self.configured and not self.prometheus
            return facts.Sight(source="Prometheus and Pods" if answering else "Pods", note=self.prometheus)
        if not self.configured:
            return facts.Sight(source="Pods", note=_and(self.pods, "no Prometheus is configured"))
        if self.prometheus:
            return facts.Sight(error=_and(self.prometheus, self.pods), misconfigured=self.misconfigured)
        return facts.Sight(partial=self.partial, note=self.foreign or self.pods)


def _and(one: str, other: str) -> str:
    return "; ".join(words for words in (one, other) if words)


def _gist(look: looks.Look) -> tuple[object, ...]:
    """What a pass acts on beside the numbers."""
    return look.outcome, look.reason, look.misconfigured, look.source, look.first_request_at is None
