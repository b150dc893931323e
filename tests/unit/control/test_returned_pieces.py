"""What came back for answers, asked of Prometheus bit by bit: what is new, in pieces that fit, for as long as a window
lasts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from tests.unit.prometheus import build

from seatrial.analysis.judgement import Outcome
from seatrial.analysis.slots import ArmCounts, Slot
from seatrial.api import spec
from seatrial.control import returned
from seatrial.prometheus import client, errors, matching
from seatrial.rollout import looking, returns

MINUTE = timedelta(minutes=1)
ORDERS = spec.BusinessOutcome(
    name="orders", source=spec.OutcomeSource.PROMETHEUS, selector="orders_total", label="revision"
)
FEEDBACK = spec.Feedback(horizon=spec.Duration(minutes=24), events=("converted",))


class Prometheus:
    """A shop that takes an order for every tenth request, and pods that answer one row a second."""

    def __init__(self, *, longest: timedelta = timedelta(days=1), rate: float = 0.1) -> None:
        self.longest, self.rate = longest, rate
        self.asked: list[timedelta] = []
        self.down = False

    def _answer(self, since: datetime, until: datetime, **labels: str) -> client.Answer:
        self.asked.append(until - since)
        if self.down:
            raise errors.PrometheusUnavailable("connection refused")
        if until - since > self.longest + returned.OVERLAP:
            raise errors.AnswerTooLarge("more than 16 MiB")
        begin, end = int(since.timestamp()), int(until.timestamp())
        rates = {"s1": 1.0, "c1": self.rate * 10}
        return client.Answer(
            series=tuple(
                matching.Raw(
                    labels={**labels, "revision": one, "instance": one},
                    samples=[(float(at), at * rate) for at in range(begin - begin % 15 + 15, end + 1, 15)],
                )
                for one, rate in rates.items()
            )
        )

    async def of_service(
        self, asked: looking.Question, wish: spec.BusinessOutcome, *, since: datetime, until: datetime
    ) -> client.Answer:
        return self._answer(since, until)

    async def returned(
        self, asked: looking.Question, *, numbers: Iterable[int], since: datetime, until: datetime
    ) -> client.Answer:
        return self._answer(since, until, __name__="seatrial_cohort_rows_total", cohort="0")


def question(**changes: Any) -> looking.Question:
    asked = build.question()
    analysis = msgspec.structs.replace(asked.analysis, outcomes=(ORDERS,))
    return msgspec.structs.replace(asked, **{"analysis": analysis, **changes})


def judged(known: returned.Feedback, asked: looking.Question, *, now: datetime) -> returns.Returned:
    span = round((now - asked.window.since) / timedelta(seconds=15))
    arm = ArmCounts(requests=150)
    return known.judged(asked, (Slot(seconds=15.0, stable=arm, candidate=arm),) * span, now=now)


async def asking(prometheus: Any, asked: looking.Question, *, looks: Iterable[timedelta]) -> returned.Feedback:
    known = returned.Feedback()
    for one in looks:
        await known.ask(asked, prometheus, now=build.NOW + one)
    return known


async def test_only_what_is_new_is_asked_for_again():
    prometheus = Prometheus()
    known = await asking(prometheus, question(), looks=[10 * MINUTE, 10.25 * MINUTE, 10.5 * MINUTE])
    assert [one - returned.OVERLAP for one in prometheus.asked] == [10 * MINUTE, 0.25 * MINUTE, 0.25 * MINUTE]
    [orders] = judged(known, question(), now=build.NOW + 10.5 * MINUTE).metrics
    assert orders.outcome is Outcome.PASS
    assert orders.stable.share == orders.candidate.share > 0


async def test_a_shops_orders_of_a_whole_weekend_are_asked_for_in_pieces_that_fit():
    prometheus, weekend = Prometheus(longest=5 * MINUTE, rate=0.05), timedelta(hours=12)
    known = await asking(prometheus, question(), looks=[weekend] * 40)
    assert known.error == ""
    assert max(prometheus.asked[4:]) <= 5 * MINUTE + returned.OVERLAP
    [orders] = judged(known, question(), now=build.NOW + weekend).metrics
    assert orders.outcome is Outcome.FAIL
    assert orders.stable.events > 40_000


async def test_what_could_not_be_asked_is_asked_the_next_time_and_said_meanwhile():
    prometheus = Prometheus()
    known = await asking(prometheus, question(), looks=[10 * MINUTE])
    prometheus.down = True
    await known.ask(question(), prometheus, now=build.NOW + 11 * MINUTE)  # type: ignore[arg-type]
    assert known.error == "connection refused"
    prometheus.down = False
    await known.ask(question(), prometheus, now=build.NOW + 12 * MINUTE)  # type: ignore[arg-type]
    assert known.error == ""
    assert prometheus.asked[-1] - returned.OVERLAP == 2 * MINUTE


async def test_another_window_begins_with_its_own_orders():
    prometheus = Prometheus()
    later = build.NOW + 60 * MINUTE
    asked = question(window=looking.Window(stable="s1", candidate="c1", since=later))
    known = await asking(prometheus, question(), looks=[10 * MINUTE])
    await known.ask(asked, prometheus, now=later + 5 * MINUTE)  # type: ignore[arg-type]
    assert prometheus.asked[-1] - returned.OVERLAP == 5 * MINUTE


async def test_a_long_ring_is_read_in_pieces_too_and_a_few_at_each_look():
    asked = question(analysis=build.question().analysis, feedback=FEEDBACK)
    prometheus = Prometheus(longest=2 * MINUTE)
    await asking(prometheus, asked, looks=[timedelta(hours=1)])
    assert len(prometheus.asked) == returned.PIECES
    await asking(prometheus, asked, looks=[timedelta(hours=1)] * 10)
    assert prometheus.asked[-1] <= 2 * MINUTE + returned.OVERLAP
