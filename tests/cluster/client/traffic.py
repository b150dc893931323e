"""Open-loop traffic: arrivals at a steady rate, a fixed number of connections to carry them."""

from __future__ import annotations

import asyncio
import itertools
import random
import time

from . import answers, rows, scanner
from .answers import Judgement, Outcome
from .connection import Clock, Connection, NoAnswerError, Reply
from .ledger import Entry, Ledger
from .settings import Settings

Arrivals = asyncio.Queue[str | None]
# Waiting arrivals per connection; beyond, an arrival is skipped rather than sent late.
BACKLOG = 2


class Lane:
    """One connection, renewed now and then. Lives differ by a fifth, so that not all are renewed at once."""

    def __init__(
        self,
        settings: Settings,
        data: rows.Rows,
        *,
        marks: rows.Marks | None,
        through: scanner.Scanner,
        ledger: Ledger,
        chance: random.Random,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._data = data
        self._marks = marks
        self._through = through
        self._ledger = ledger
        self._chance = chance
        self._clock = clock
        self._life = self._new_life()
        url = f"{settings.target.rstrip('/')}/v2/models/{settings.model}/infer"
        self._connection = Connection(
            url, host=settings.host, timeout_seconds=settings.timeout_seconds, ledger=ledger, clock=clock
        )

    def _new_life(self) -> float:
        return self._settings.connection_seconds * self._chance.uniform(0.8, 1.2)

    async def run(self, arrivals: Arrivals) -> None:
        """Carry arrivals until a None comes."""
        async with self._connection:
            while (id := await arrivals.get()) is not None:
                row = rows.draw(self._data, id=id, chance=self._chance, marks=self._marks, through=self._through)
                await self._carry(row)

    async def _carry(self, request: rows.Request) -> None:
        if self._connection.age > self._life:
            await self._connection.close()
            self._life = self._new_life()
        self._ledger.started += 1
        sent_at = self._clock()
        judgement, reply = await self._ask(request)
        now = self._clock()
        entry = Entry(
            judgement.outcome,
            now - sent_at,
            correct=judgement.label == request.label,
            at=now,
            revision=reply.revision if reply else "",
            covered=reply.covered if reply else "",
            version=judgement.version,
        )
        self._ledger.finish(entry, reason=judgement.reason)

    async def _ask(self, request: rows.Request) -> tuple[Judgement, Reply | None]:
        reply = None
        try:
            reply = await self._connection.post(request.body)
        except NoAnswerError as error:
            judgement = Judgement(Outcome.LOST, reason=str(error))
        else:
            judgement = answers.judge(
                reply.status, reply.body, id=request.id, model=self._settings.model, classes=self._data.classes
            )
        if judgement.outcome is Outcome.LOST and not self._ledger.had_success:
            return Judgement(Outcome.WAITING, reason=judgement.reason), reply
        return judgement, reply


async def run(
    settings: Settings,
    data: rows.Rows,
    *,
    marks: rows.Marks | None = None,
    through: scanner.Scanner | None = None,
    ledger: Ledger,
    stop: asyncio.Event,
    clock: Clock = time.monotonic,
) -> None:
    """Send until `stop`; what has arrived by then is still carried."""
    arrivals: Arrivals = asyncio.Queue(maxsize=settings.connections * BACKLOG)
    chance = random.Random(settings.seed)
    lanes = [
        Lane(
            settings, data, marks=marks, through=through or scanner.Scanner(), ledger=ledger, chance=chance, clock=clock
        )
        for _ in range(settings.connections)
    ]
    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            group.create_task(lane.run(arrivals))
        await _arrive(arrivals, rate=settings.rate, ledger=ledger, stop=stop, clock=clock)
        for _ in lanes:
            await arrivals.put(None)


async def _arrive(arrivals: Arrivals, *, rate: float, ledger: Ledger, stop: asyncio.Event, clock: Clock) -> None:
    begin = clock()
    for number in itertools.count():
        if await stopped(stop, within=begin + number / rate - clock()):
            return
        try:
            arrivals.put_nowait(f"client-{number}")
        except asyncio.QueueFull:
            ledger.skipped += 1


async def stopped(stop: asyncio.Event, *, within: float) -> bool:
    """Whether `stop` was set within so many seconds."""
    try:
        await asyncio.wait_for(stop.wait(), within)
    except TimeoutError:
        return False
    return True
