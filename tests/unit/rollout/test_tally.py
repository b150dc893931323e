"""A tally gives the figures of a count of the whole window, whatever the steps in which it came to them."""

from __future__ import annotations

import random

import msgspec
import pytest

from seatrial.analysis import counters
from seatrial.analysis import samples as samples_
from seatrial.rollout import tally

ARMS = tuple(counters.Arm)
LENGTH = 15.0
GIVEN = [
    (counters.Counter.RELAYED, f"{outcome}{mark}")
    for outcome in samples_.GIVEN
    for mark in ("", f"/{samples_.COVERED}")
]


def traffic(seed: int, *, every: float, until: float) -> tuple[list[counters.Series], list[counters.Pod]]:
    """Pods of both arms with uneven counters, scraped at instants of their own."""
    rng = random.Random(seed)
    series, pods = [], []
    for arm, names in ((counters.Arm.STABLE, "abc"), (counters.Arm.CANDIDATE, "xy")):
        for name in names:
            pods.append(counters.Pod(arm=arm, name=name, started=-5000.0))
            keys = [(counters.Counter.REQUESTS, outcome) for outcome in counters.COUNTED]
            keys += GIVEN if arm is counters.Arm.STABLE else []
            phase, totals = rng.uniform(0, every), dict.fromkeys(keys, 0.0)
            rows: dict[samples_.Key, list[tuple[float, float]]] = {key: [] for key in totals}
            at = -900.0 + phase
            while at <= until:
                for key in totals:
                    totals[key] += rng.randrange(20)
                    rows[key].append((at, totals[key]))
                at += every
            series += [
                counters.Series(arm=arm, pod=name, counter=counter, label=label, samples=samples)
                for (counter, label), samples in rows.items()
            ]
    return series, pods


def before(series: list[counters.Series], end: float, since: float) -> list[counters.Series]:
    """What is still kept at a moment: nothing later, nothing that was given up."""
    found = []
    for one in series:
        known = [sample for sample in one.samples if sample[0] <= end]
        found.append(
            counters.Series(
                arm=one.arm, pod=one.pod, counter=one.counter, label=one.label, samples=tally.kept(known, until=since)
            )
        )
    return found


@pytest.mark.parametrize("every", [5.0, 15.0, 30.0, 60.0], ids=str)
@pytest.mark.parametrize("relay", [None, counters.Relay()], ids=["by pod", "relayed"])
@pytest.mark.parametrize("seed", range(5))
def test_look_after_look_counts_what_one_look_at_everything_counts(
    seed: int, every: float, relay: counters.Relay | None
) -> None:
    until = 1800.0
    series, pods = traffic(seed, every=every, until=until)
    rng = random.Random(seed)
    counted, reading, end = tally.begin(start=0.0, length=LENGTH), None, 0.0
    while end < until:
        end = min(until, end + rng.choice([1.0, 15.0, 40.0, 200.0]))
        ground = tally.Ground(
            series=before(series, end, counted.until - LENGTH), pods=pods, arms=ARMS, scrape_interval=every, relay=relay
        )
        counted, reading = tally.count(counted, ground, end=end)
    whole = counters.read(series, pods, start=0.0, end=until, interval=LENGTH, scrape_interval=every, relay=relay)
    assert reading is not None
    assert reading.slots == whole.slots
    assert reading.blind == whole.blind == ""


def test_what_was_counted_long_ago_takes_little_room() -> None:
    weekend = 60 * 3600.0
    [slot] = counters.read((), (), start=0.0, end=LENGTH, interval=LENGTH, scrape_interval=LENGTH).slots
    before = tally.Tally(start=0.0, length=LENGTH, until=weekend, slots=(slot,) * round(weekend / LENGTH))
    ground = tally.Ground(series=(), pods=(), arms=ARMS, scrape_interval=LENGTH)
    after, _ = tally.count(before, ground, end=weekend + 2 * tally.LATE)
    assert after.until == weekend + tally.LATE
    assert len(after.slots) < 500


def test_seconds_add_up_to_the_slots_they_become() -> None:
    series, pods = traffic(1, every=1.0, until=200.0)
    names = frozenset(pod.name for pod in pods)
    ground = tally.Ground(series=series, pods=pods, arms=ARMS, scrape_interval=15.0, fine_since=-10.0, fine_pods=names)
    counted, reading = tally.count(tally.begin(start=0.0, length=LENGTH), ground, end=200.0)
    assert [slot.seconds for slot in reading.slots] == [15.0] * 12 + [1.0] * 20
    assert (counted.until, len(counted.slots)) == (180.0, 12)
    coarse = counters.read(series, pods, start=0.0, end=200.0, interval=LENGTH, scrape_interval=15.0)
    upto = sum(slot.stable.requests for slot in reading.slots if slot.seconds == 1.0)
    whole = sum(slot.stable.requests for slot in coarse.slots)
    assert upto + sum(slot.stable.requests for slot in counted.slots) >= whole
    assert reading.slots[:12] == coarse.slots[:12]


def test_before_direct_reading_began_slots_have_the_length_of_the_interval() -> None:
    series, pods = traffic(2, every=1.0, until=100.0)
    names = frozenset(pod.name for pod in pods)
    ground = tally.Ground(series=series, pods=pods, arms=ARMS, scrape_interval=15.0, fine_since=69.5, fine_pods=names)
    _, reading = tally.count(tally.begin(start=0.0, length=LENGTH), ground, end=100.0)
    assert [slot.seconds for slot in reading.slots] == [15.0] * 4 + [10.0] + [1.0] * 30


def test_seconds_are_counted_from_the_second_reading_on_however_rarely_pods_were_scraped_before() -> None:
    """Three readings after the weight a version that fails everything must be found out, not after five scrapes."""
    (scraped, pods), (read, _) = (traffic(4, every=every, until=4.0) for every in (5.0, 1.0))
    names = frozenset(pod.name for pod in pods)
    series = [
        msgspec.structs.replace(
            old,
            samples=[
                *((at, 0.0) for at, _ in old.samples if at < 0),
                *((at, value) for at, value in new.samples if at >= 0),
            ],
        )
        for old, new in zip(scraped, read, strict=True)
    ]
    ground = tally.Ground(series=series, pods=pods, arms=ARMS, scrape_interval=5.0, fine_since=0.99, fine_pods=names)
    for end, seconds in ((2.1, 1), (3.1, 2), (4.0, 3)):
        _, reading = tally.count(tally.begin(start=0.0, length=5.0), ground, end=end)
        assert [slot.seconds for slot in reading.slots] == [1.0] * seconds


def test_pods_that_are_not_read_directly_are_left_out_of_single_seconds() -> None:
    series, pods = traffic(3, every=1.0, until=60.0)
    ground = tally.Ground(
        series=series, pods=pods, arms=ARMS, scrape_interval=15.0, fine_since=-1.0, fine_pods=frozenset("abx")
    )
    _, reading = tally.count(tally.begin(start=0.0, length=LENGTH), ground, end=50.0)
    assert {pod.name for slot in reading.slots for pod in (*slot.stable.pods, *slot.candidate.pods)} == set("abx")
