"""The API server's time survives jumps of the operator's clock and the coarseness of the Date header."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime, timedelta

import pytest

from seatrial.cluster import clock, errors

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def header(moment: datetime) -> str:
    return email.utils.format_datetime(moment.replace(microsecond=0), usegmt=True)


class Seconds:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def server(seconds: Seconds) -> clock.ServerClock:
    return clock.ServerClock(seconds)


def test_before_the_first_answer_the_time_is_unknown(server: clock.ServerClock) -> None:
    with pytest.raises(errors.Unavailable, match="time is unknown"):
        server.now()


def test_time_goes_on_between_two_answers(server: clock.ServerClock, seconds: Seconds) -> None:
    server.heard(header(NOON))
    seconds.at += 42.5
    assert server.now() == NOON + timedelta(seconds=42.5)


def test_the_local_wall_clock_has_no_part_in_it(server: clock.ServerClock, monkeypatch: pytest.MonkeyPatch) -> None:
    server.heard(header(NOON))
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert server.now() == NOON


def test_a_later_answer_sharpens_the_time_and_never_turns_it_back(server: clock.ServerClock, seconds: Seconds) -> None:
    server.heard(header(NOON))
    seconds.at += 0.1
    server.heard(header(NOON + timedelta(seconds=1)))  # the true time passed a full second
    assert server.now() == NOON + timedelta(seconds=1)
    seconds.at += 0.8
    before = server.now()
    server.heard(header(NOON + timedelta(seconds=1.9)))
    assert server.now() == before


def test_a_server_whose_clock_was_set_back_is_followed(server: clock.ServerClock, seconds: Seconds) -> None:
    server.heard(header(NOON))
    seconds.at += 1
    server.heard(header(NOON - timedelta(minutes=5)))
    assert server.now() == NOON - timedelta(minutes=5)


@pytest.mark.parametrize("text", [None, "", "yesterday"], ids=["none", "empty", "nonsense"])
def test_what_is_no_date_changes_nothing(server: clock.ServerClock, text: str | None) -> None:
    server.heard(header(NOON))
    server.heard(text)
    assert server.now() == NOON
