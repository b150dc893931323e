"""What happens after answers, compared between versions: events sent back, and counters of the users' own services.

Events are counted by cohorts of requests, as labels are. A service's counter has the revision as a label; what it
counts in a stretch of time is held against the requests of the same length of time `delay` earlier, while the weight
stayed the same. What an answer brought is heavy-tailed, so it is told with its interval and judged by nobody.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from seatrial.analysis import cohorts, judgement, quality
from seatrial.analysis.slots import Slot
from seatrial.api import spec

SPAN = 60.0  # seconds that are counted together: scrapes of both sides fall where they like
ERROR = 0.05
_RHO = 0.01  # of the confidence sequence: it is narrowest at some ten thousand rows


class Growth(msgspec.Struct, frozen=True):
    """Samples of one counter of one revision."""

    revision: str
    samples: Sequence[tuple[float, float]]


def of_events(
    wish: spec.BusinessOutcome, seen: Sequence[cohorts.Cohort], *, alpha: float, count: int
) -> judgement.MetricEvidence:
    """An event's rate among answered rows. `count`: outcomes that share the part of alpha."""
    name = wish.event or ""
    table = quality.arms(
        [
            (one.candidate.events.get(name, 0.0), one.stable.events.get(name, 0.0), one.candidate.rows, one.stable.rows)
            for one in seen
        ]
    )
    return _compared(wish, table, alpha=alpha, count=count)


def of_counters(
    wish: spec.BusinessOutcome,
    found: Iterable[Growth],
    slots: Sequence[Slot],
    *,
    since: float,
    until: float,
    revisions: tuple[str, str],
    alpha: float,
    count: int,
) -> judgement.MetricEvidence:
    """A service's counter among requests. `slots` begin at `since`; `revisions`: stable's and the candidate's."""
    delay = wish.delay.total_seconds()
    bounds = [since + SPAN * place for place in range(1 + max(0, math.floor((until - since - delay) / SPAN)))]
    happened = _by_span(found, [bound + delay for bound in bounds])
    requests = _requests(slots, bounds, since=since)
    stable, candidate = revisions
    rows = [
        (happened.get(candidate, {}).get(place, 0.0), happened.get(stable, {}).get(place, 0.0), theirs, ours)
        for place, (ours, theirs) in enumerate(requests)
    ]
    return _compared(wish, quality.arms(rows), alpha=alpha, count=count)


def _compared(wish: spec.BusinessOutcome, table: quality.Arms, *, alpha: float, count: int) -> judgement.MetricEvidence:
    return quality.compare(
        wish.name,
        table,
        tolerance=wish.tolerance,
        bound=count / (alpha * quality.OUTCOMES_SHARE),
        more=wish.better is spec.Better.MORE,
    )


def _by_span(found: Iterable[Growth], bounds: Sequence[float]) -> Mapping[str, dict[int, float]]:
    """Increments by revision and place of the span; a fall is a restart. What a series begins with was before."""
    sums: dict[str, dict[int, float]] = {}
    for one in found:
        before: float | None = None
        for at, value in ((at, value) for at, value in one.samples if cohorts.countable(value)):
            grown = 0.0 if before is None else value - before if value >= before else value
            before = value
            place = math.floor((at - bounds[0]) / SPAN)
            if grown and 0 <= place < len(bounds) - 1:
                of_revision = sums.setdefault(one.revision, {})
                of_revision[place] = of_revision.get(place, 0.0) + grown
    return sums


def _requests(slots: Sequence[Slot], bounds: Sequence[float], *, since: float) -> list[tuple[float, float]]:
    """Of stable and candidate in each span; a slot that lies in two is shared out by time."""
    found = [[0.0, 0.0] for _ in bounds[1:]]
    start = since
    for slot in slots:
        end = start + slot.seconds
        for place in range(max(0, int((start - bounds[0]) // SPAN)), len(found)):
            low, high = bounds[place], bounds[place + 1]
            if low >= end:
                break
            part = (min(high, end) - max(low, start)) / slot.seconds if slot.seconds else 0.0
            found[place][0] += slot.stable.requests * max(0.0, part)
            found[place][1] += slot.candidate.requests * max(0.0, part)
        start = end
    return [(one, other) for one, other in found]


class Mean(msgspec.Struct, frozen=True):
    """Per row, with limits that hold at all times at once with 95 % (asymptotically)."""

    rows: float
    mean: float
    reach: float


def revenue(answers: Sequence[cohorts.Answers]) -> Mean:
    """What a row brought; rows without a value brought nothing.

    The reach is Robbins' mixture as a confidence sequence (Waudby-Smith et al., arXiv:2103.06476, theorem 2.2).
    """
    rows = sum(one.rows for one in answers)
    total, squares = sum(one.value for one in answers), sum(one.squared for one in answers)
    if not rows:
        return Mean(0.0, 0.0, math.inf)
    mean = total / rows
    spread = max(squares / rows - mean**2, 0.0)
    width = rows * _RHO**2
    reach = math.sqrt(spread * 2 * (width + 1) / (rows * width) * math.log(math.sqrt(width + 1) / ERROR))
    return Mean(rows, mean, reach)


def words(seen: Sequence[cohorts.Cohort]) -> str:
    """What the versions brought, where that was sent."""
    stable, candidate = revenue([one.stable for one in seen]), revenue([one.candidate for one in seen])
    if not stable.mean and not candidate.mean:
        return ""
    texts = [f"{one.mean:.4g} +- {one.reach:.2g} per row" for one in (candidate, stable)]
    return f"value: candidate {texts[0]}, stable {texts[1]} (95 %, not judged)"
