"""What counts as an assignment, and which requests it moves."""

from __future__ import annotations

import collections
import contextlib
import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies

from seatrial_server.relay import assignment, choice

NOW = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
GOOD: dict[str, Any] = {
    "deployment": "shop/churn",
    "revision": "b2",
    "to": ["10.1.2.3", "fd00::1"],
    "weight": 10,
    "until": "2026-01-01T00:02:00Z",
    "token": "t" * 32,
}


def read(text: bytes, *, now: float = NOW) -> assignment.Assignment | None:
    return assignment.read(text, deployment="shop/churn", revision="a1", now=now)


def document(**changes: Any) -> bytes:
    return json.dumps({key: value for key, value in {**GOOD, **changes}.items() if value is not ...}).encode()


def test_a_whole_assignment_is_read() -> None:
    found = read(document(shadow=5, sticky="x-user-id", cover=False, coverAfter=0.5, trustClientChoice=True))
    assert found is not None
    assert (found.to, found.weight, found.shadow) == (("10.1.2.3", "fd00::1"), 10, 5)
    assert (found.sticky, found.cover, found.cover_after) == ("x-user-id", False, 0.5)
    assert found.trust_client_choice
    assert found.ends() == NOW + 120 + 30


def test_nobody_is_trusted_unless_the_assignment_says_so() -> None:
    found = read(document())
    assert found is not None
    assert not found.trust_client_choice
    assert not found.asks_headers


@pytest.mark.parametrize("text", [b"", b" \n"])
def test_an_annotation_that_does_not_exist_is_an_empty_file(text: bytes) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b"\xff\xfe",
        b"null",
        document() + b"{}",
        document(to=["10.1.2.3"] * 2),
        document(to=["fd00::1", "fd00:0::1"]),
        document(to=["churn.example"]),
        document(to=["10.1.2.3:8080"]),
        document(to=["0.0.0.0"]),
        document(to=["224.0.0.1"]),
        document(to=["169.254.169.254"]),
        document(to=["fe80::1%eth0"]),
        document(to=[f"10.0.{number // 256}.{number % 256}" for number in range(300)]),
        document(weight=-1),
        document(weight=100.1),
        document(weight="10"),
        document(weight=...),
        document(until="2026-01-01T00:02:00"),
        document(until="soon"),
        document(until="2027-01-01T00:00:00Z"),
        document(until=...),
        document(revision="a1"),
        document(revision="B/2"),
        document(deployment="shop/other"),
        document(token="short"),
        document(token=...),
        document(sticky="x user"),
        document(coverAfter=0),
        document(trustClientChoice="yes"),
        document(more=1),
        document(sticky="x" * 17_000),
    ],
    ids=lambda text: ascii(text)[:60],
)
def test_whatever_is_odd_is_refused_with_a_reason(text: bytes) -> None:
    with pytest.raises(assignment.Odd) as caught:
        read(text)
    assert str(caught.value)


@given(strategies.binary(max_size=300))
def test_no_text_breaks_the_reader(text: bytes) -> None:
    with contextlib.suppress(assignment.Odd):
        read(text)


@pytest.mark.parametrize("weight", [0.1, 1, 10, 50, 99.9])
def test_the_share_that_moves_is_the_weight(weight: float) -> None:
    draw, count = random.Random(1).random, 20_000
    moved = sum(choice.moves(weight, value=None, draw=draw) for _ in range(count))
    asked = weight / 100
    assert abs(moved / count - asked) <= 3 * (asked * (1 - asked) / count) ** 0.5


def test_nothing_moves_at_zero_and_everything_at_a_hundred() -> None:
    for drawn in (0.0, 0.5, 1 - 2**-53):
        draw = iter([drawn, drawn]).__next__
        assert not choice.moves(0, value=None, draw=draw)
        assert choice.moves(100, value=None, draw=draw)


def test_values_of_a_sticky_header_are_spread_evenly() -> None:
    places = collections.Counter(int(10 * choice.place(str(number).encode())) for number in range(10_000))
    assert set(places) == set(range(10))
    assert all(900 < count < 1100 for count in places.values())


def test_a_users_place_is_the_same_in_every_process() -> None:
    assert choice.place(b"user-1") == pytest.approx(0.6041924073669338)
    assert choice.moves(100 * choice.place(b"u") + 1e-9, value=b"u", draw=lambda: 1.0)
    assert not choice.moves(100 * choice.place(b"u"), value=b"u", draw=lambda: 0.0)
