"""What came back for answers of one pair of revisions: asked of Prometheus, only for what is new, and kept.

It lives as long as the pair does, through all steps and the soak: labels come late. A new process asks for all of it
again, from the first weight that status knows of. Belongs to one watch at a time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from seatrial.analysis import cohorts, outcomes
from seatrial.analysis.slots import Slot
from seatrial.api import spec
from seatrial.control import sources
from seatrial.prometheus import errors, matching
from seatrial.rollout import looking, returns

OVERLAP = timedelta(seconds=60)
LONGEST_PIECE = timedelta(minutes=15)
SHORTEST_PIECE = timedelta(minutes=1)
PIECES = 8  # at one look: what is older is asked for at the next ones
BEFORE_SOAK = timedelta(hours=6)


class _Reach:
    """Up to when something is known, and how much of it is asked for at once."""

    def __init__(self, known: datetime) -> None:
        self.known, self._piece = known, LONGEST_PIECE

    async def to(self, now: datetime, ask: Callable[[datetime, datetime], Awaitable[None]]) -> None:
        """Asks for what is new, in pieces that fit. Raises PrometheusError."""
        for _ in range(PIECES):
            until = min(now, self.known + self._piece)
            if until <= self.known:
                return
            try:
                await ask(self.known - OVERLAP, until)
            except errors.AnswerTooLarge:
                if self._piece <= SHORTEST_PIECE:
                    raise
                self._piece = max(self._piece / 2, SHORTEST_PIECE)
            else:
                self.known = until


class Feedback:
    """The answers to the questions so far."""

    def __init__(self) -> None:
        self._book: cohorts.Book | None = None
        self._since = datetime.min
        self._pods = _Reach(datetime.min)
        self._services: dict[str, _Reach] = {}
        self._growth: dict[str, dict[tuple[tuple[str, str], ...], outcomes.Growth]] = {}
        self.error = ""

    async def ask(self, asked: looking.Question, origin: sources.Sources, *, now: datetime) -> None:
        """Whatever is asked for that can be asked now; what fails is asked again the next time."""
        try:
            await self._ask_pods(asked, origin, now=now)
            await self._ask_services(asked, origin, now=now)
        except errors.PrometheusError as error:
            self.error = str(error)
        else:
            self.error = ""

    def judged(self, asked: looking.Question, slots: Sequence[Slot], *, now: datetime) -> returns.Returned:
        """What follows from all that is known; `slots` are the window's. Milliseconds: not for the event loop."""
        window = asked.window
        seen: tuple[cohorts.Cohort, ...] = ()
        if self._book is not None:
            seen = self._book.cohorts(
                stable=window.stable, candidate=window.candidate, since=self._since.timestamp(), until=now.timestamp()
            )
        grown = {name: tuple(found.values()) for name, found in self._growth.items()}
        return returns.returned(asked, seen, grown, slots, now=now)

    async def _ask_pods(self, asked: looking.Question, origin: sources.Sources, *, now: datetime) -> None:
        wish = asked.feedback
        if wish is None:
            self._book = None
            return
        book = self._begun(asked, wish)
        for moment in (asked.window.since, *asked.window.weighed):
            book.changed(moment.timestamp())

        async def ask(since: datetime, until: datetime) -> None:
            answer = await origin.returned(asked, numbers=self._numbers(book, until), since=since, until=until)
            book.add(matching.returned(answer.series, asked=asked))

        await self._pods.to(now, ask)

    def _begun(self, asked: looking.Question, wish: spec.Feedback) -> cohorts.Book:
        """The book, a new one where the horizon is another: pods begin anew then, too."""
        seconds = cohorts.length(wish.horizon.total_seconds())
        if self._book is None or self._book.seconds != seconds:
            self._book = cohorts.Book(seconds)
            self._since = _first(asked.window, wish)
            self._pods = _Reach(self._since)
        return self._book

    def _numbers(self, book: cohorts.Book, until: datetime) -> Sequence[int]:
        """Cohorts of the ring that are of this window; all, once it is longer than the ring."""
        first = int((self._since.timestamp() - cohorts.SKEW) // book.seconds)
        last = int(until.timestamp() // book.seconds)
        return sorted({number % cohorts.COUNT for number in range(first, min(last, first + cohorts.COUNT) + 1)})

    async def _ask_services(self, asked: looking.Question, origin: sources.Sources, *, now: datetime) -> None:
        window = asked.window
        if window.alone or window.sliding:
            return
        for wish in asked.analysis.outcomes:
            if wish.source is spec.OutcomeSource.PROMETHEUS:
                await self._ask_service(asked, wish, origin, now=now)

    async def _ask_service(
        self, asked: looking.Question, wish: spec.BusinessOutcome, origin: sources.Sources, *, now: datetime
    ) -> None:
        reach = self._services.get(wish.name)
        if reach is None or reach.known < asked.window.since:
            reach = self._services[wish.name] = _Reach(asked.window.since)
            self._growth.pop(wish.name, None)

        async def ask(since: datetime, until: datetime) -> None:
            answer = await origin.of_service(asked, wish, since=since, until=until)
            for raw in answer.series:
                self._grow(wish, raw)

        await reach.to(now, ask)

    def _grow(self, wish: spec.BusinessOutcome, raw: matching.Raw) -> None:
        found = self._growth.setdefault(wish.name, {})
        key = tuple(sorted(raw.labels.items()))
        known = found[key].samples if key in found else ()
        older = [one for one in known if raw.samples and one[0] < raw.samples[0][0]]
        found[key] = outcomes.Growth(
            revision=raw.labels.get(wish.label or "", ""), samples=[*older, *(raw.samples or known)]
        )


def _first(window: looking.Window, wish: spec.Feedback) -> datetime:
    """When the candidate got its first requests. Of a soak that an older operator has begun, nobody knows."""
    if window.weighed:
        return min(window.weighed)
    return window.since - (min(wish.horizon, BEFORE_SOAK) if window.soak else timedelta(0))
