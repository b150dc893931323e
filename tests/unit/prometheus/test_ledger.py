"""One history of each pod from two sources, and what it counts to."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.prometheus import build

from seatrial.analysis import samples
from seatrial.prometheus import ledger, pods
from seatrial.rollout import looking

BASE = build.NOW.timestamp()
LABELS = {"a": {"namespace": "shop", "pod": "a"}, "b": {"namespace": "shop", "pod": "b"}}


def exposition(pod: Any, revision: str, at: float, *, total: float, errors: float = 0.0) -> pods.Exposition:
    labels = f'deployment="churn",deployment_namespace="shop",revision="{revision}",transport="rest"'
    shares = {"ok": 1 - errors, "error": errors, "degraded": 0, "rejected": 0, "shed": 0}
    lines = [f'seatrial_requests_total{{{labels},outcome="{key}"}} {total * share}' for key, share in shares.items()]
    lines += [f'seatrial_request_duration_seconds_bucket{{{labels},le="{le}"}} {total}' for le in ("0.1", "+Inf")]
    return pods.Exposition(pod=pod, at=BASE + at, content="\n".join([*lines, ""]).encode())


def both(at: float, *, errors: float = 0.0, of: str = "ab") -> pods.Round:
    """Ten requests a second since ten minutes before the window."""
    total = round((at + 600) * 10)
    found = [
        exposition(build.PODS[0], "s1", at, total=total),
        exposition(build.PODS[1], "c1", at, total=total, errors=errors),
    ]
    return pods.Round(expositions=tuple(one for one in found if one.pod.name in of))


def scraped(book: ledger.Ledger, *, until: float, shift: float = 0.0) -> None:
    """Prometheus has told everything up to then; its clock may be off by `shift`."""
    for revision, name in (("s1", "a"), ("c1", "b")):
        rows = build.scrapes(revision, until=until, **LABELS[name])
        book.answered(
            [
                type(raw)(labels=raw.labels, samples=[(moment + shift, value) for moment, value in raw.samples])
                for raw in rows
            ]
        )


def requests(counted: looking.Counted) -> tuple[int, int]:
    return tuple(sum(getattr(slot, arm).requests for slot in counted.slots) for arm in ("stable", "candidate"))


def test_prometheus_alone_gives_slots_of_the_interval_and_the_hour_before() -> None:
    asked, book = build.question(), ledger.Ledger(build.question())
    scraped(book, until=120.0)
    counted = book.count(asked, until=BASE + 120)
    assert {slot.seconds for slot in counted.slots} == {15.0}
    assert requests(counted) == (1200, 1200)
    assert sum(slot.stable.requests for slot in counted.history) == 6000
    assert not book.live(BASE + 120)


def test_pods_that_are_read_every_second_give_seconds() -> None:
    asked, book = build.question(), ledger.Ledger(build.question())
    for second in range(31):
        book.read(asked, both(second + 0.6), every=1.0)
    counted = book.count(asked, until=BASE + 31.0)
    assert book.live(BASE + 31)
    assert [slot.seconds for slot in counted.slots] == [1.0] * 30 or counted.slots[0].seconds == 1.0
    assert requests(counted) == (300, 300)
    assert counted.blind == ""


@pytest.mark.long
@pytest.mark.parametrize("shift", [-20.0, 0.0, 20.0], ids=["behind", "right", "ahead"])
def test_clocks_apart_never_make_a_pod_count_twice(shift: float) -> None:
    asked, book = build.question(), ledger.Ledger(build.question())
    for second in range(60):
        book.read(asked, both(second + 0.6), every=1.0)
        if second % 15 == 0:
            scraped(book, until=float(second), shift=shift)
        counted = book.count(asked, until=BASE + second + 1)
    stable, candidate = requests(counted)
    assert 500 <= stable <= 600
    assert 500 <= candidate <= 600


@pytest.mark.parametrize("relayed", [False, True])
def test_the_first_direct_reading_takes_nothing_from_what_prometheus_has_told(relayed: bool) -> None:
    """As after an operator's restart in mid-canary."""
    asked = build.question(relayed=relayed)
    book = ledger.Ledger(asked)
    scraped(book, until=120.0)
    if relayed:
        book.answered(build.relays(until=120.0, **LABELS["a"]))
    before = book.count(asked, until=BASE + 120, final=False)
    found = both(120.6).expositions if not relayed else (relaying(120.6, ok=1.0), both(120.6).expositions[1])
    book.read(asked, pods.Round(expositions=found), every=1.0)
    counted = book.count(asked, until=BASE + 121)
    assert counted.slots[: len(before.slots)] == before.slots
    assert [slot.candidate.unseen for slot in counted.slots] == [()] * len(counted.slots)
    assert counted.unseen == {}


@pytest.mark.long
def test_when_direct_reading_ends_prometheus_goes_on_and_nothing_counts_twice() -> None:
    asked, book = build.question(), ledger.Ledger(build.question())
    for second in range(200):
        if second < 60:
            book.read(asked, both(second + 0.6), every=1.0)
        if second % 15 == 0:
            scraped(book, until=float(second))
        counted = book.count(asked, until=BASE + second + 1)
    stable, candidate = requests(counted)
    assert 1900 <= stable <= 2000
    assert 1900 <= candidate <= 2000
    assert counted.blind == ""


def relaying(at: float, **ends: float) -> pods.Exposition:
    """The pod of stable, which gives the candidate a request a second since ten minutes before the window."""
    own, total = exposition(build.PODS[0], "s1", at, total=round((at + 600) * 10)), round(at + 600)
    lines = [
        f'seatrial_relayed_requests_total{{deployment="churn",deployment_namespace="shop",revision="s1",'
        f'candidate="{candidate}",outcome="{outcome}",covered="{covered}"}} {total * share}'
        for candidate in ("c1", "c0")
        for outcome in samples.GIVEN
        for covered in ("true", "false")
        for share in [ends.get(outcome, 0.0) if (covered == "true") == (outcome not in ("ok", "degraded")) else 0.0]
    ]
    return msgspec.structs.replace(own, content=own.content + "\n".join([*lines, ""]).encode())


def test_what_stable_gives_is_read_every_second_whether_or_not_the_candidate_can_be_read() -> None:
    asked, book = build.question(relayed=True), ledger.Ledger(build.question(relayed=True))
    for second in range(31):
        book.read(asked, pods.Round(expositions=(relaying(second + 0.6, unreachable=1.0),)), every=1.0)
    counted = book.count(asked, until=BASE + 31.0)
    assert book.live(BASE + 31)
    assert {slot.seconds for slot in counted.slots} == {1.0}
    assert (
        sum(slot.candidate.errors for slot in counted.slots)
        == sum(one.candidate.requests for one in counted.slots)
        == 30
    )
    assert counted.blind == ""
    assert "latency can't be judged: candidate: 0 of 1 ready pods" in counted.unseen["latency"]


@pytest.mark.long
def test_pods_and_prometheus_tell_of_a_request_that_was_given_once() -> None:
    asked, book = build.question(relayed=True), ledger.Ledger(build.question(relayed=True))
    for second in range(60):
        book.read(asked, pods.Round(expositions=(relaying(second + 0.6, ok=1.0),)), every=1.0)
        if second % 15 == 0:
            scraped(book, until=float(second))
            book.answered(build.relays(until=float(second), **LABELS["a"]))
        counted = book.count(asked, until=BASE + second + 1)
    stable, candidate = requests(counted)
    assert 500 <= stable <= 600
    assert 50 <= candidate <= 60


def test_too_few_readable_pods_are_no_direct_reading() -> None:
    asked, book = build.question(), ledger.Ledger(build.question())
    book.read(asked, both(0.6, of="a"), every=1.0)
    assert not book.live(BASE + 1)


def test_a_pod_that_speaks_for_another_rollout_is_not_heard() -> None:
    asked = build.question(name="fraud")
    assert pods.parsed(both(1.0).expositions[0], asked) == {}


def test_what_is_not_the_text_format_is_not_counted() -> None:
    asked, book = build.question(), ledger.Ledger(build.question())
    odd = [msgspec.structs.replace(one, content=b"seatrial_requests_total{ 1\n\xff") for one in both(1.0).expositions]
    book.read(asked, pods.Round(expositions=tuple(odd)), every=1.0)
    assert not book.live(BASE + 1)


@pytest.mark.long
def test_memory_follows_the_pods_and_not_the_window() -> None:
    asked, book = build.question(), ledger.Ledger(build.question())
    for minute in range(1, 300):
        for revision, name in (("s1", "a"), ("c1", "b")):
            rows = build.scrapes(revision, until=60.0 * minute, **LABELS[name])
            book.answered(type(raw)(labels=raw.labels, samples=raw.samples[-8:]) for raw in rows)
        counted = book.count(asked, until=BASE + 60.0 * minute)
    assert max(len(raw.samples) for raw in book._series.values()) < 20
    assert len(counted.slots) < 200
    assert requests(counted) == (299 * 600, 299 * 600)


def test_without_prometheus_the_record_is_what_was_counted_of_stable_before() -> None:
    asked, book = build.question(), ledger.Ledger(build.question())
    scraped(book, until=120.0)
    before = book.count(asked, until=BASE + 120).slots
    after = ledger.Ledger(build.question(), carried=before)
    assert after.count(asked, until=BASE + 15).history == before


def test_every_candidate_pod_is_read_first_and_some_of_stable() -> None:
    def many(arm: Any, count: int) -> tuple[Any, ...]:
        return tuple(build.pod(f"{arm}{place}", arm, ip=f"10.1.0.{place}") for place in range(count))

    def chosen(stable: int, candidate: int) -> tuple[int, int]:
        asked = build.question(pods=(*many(build.STABLE, stable), *many(build.CANDIDATE, candidate)))
        found = pods.chosen(asked)
        return sum(one.arm is build.STABLE for one in found), sum(one.arm is build.CANDIDATE for one in found)

    assert chosen(100, 5) == (27, 5)
    assert chosen(100, 100) == (8, 24)
    assert chosen(3, 2) == (3, 2)


def test_a_pod_that_is_not_ready_or_has_no_address_is_not_read() -> None:
    waiting = build.pod("c", build.CANDIDATE, ip="10.0.0.3", ready=False)
    asked = build.question(pods=(*build.PODS, waiting, build.pod("d", build.CANDIDATE)))
    assert [one.name for one in pods.chosen(asked)] == ["b", "a"]


def test_readings_that_are_rarer_are_a_run_of_them_as_well() -> None:
    asked, book = build.question(), ledger.Ledger(build.question())
    for second in range(0, 60, 5):
        book.read(asked, both(second + 0.6), every=5.0)
        assert book.live(BASE + second + 5)
    counted = book.count(asked, until=BASE + 60)
    assert requests(counted) == (550, 550)
    assert counted.blind == ""
    assert not book.live(BASE + 75)
