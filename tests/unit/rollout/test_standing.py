"""How many records of what standing stay: none pushes out one of another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from seatrial.api.status import Reason
from seatrial.rollout import standing
from seatrial.rollout.standing import Mark, Standing

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def mark(of: Standing, number: int) -> Mark:
    return Mark(standing=of, reason=Reason.PROMOTED, at=BEGAN + timedelta(minutes=number))


PAIRS = [(kept, crowd) for kept in Standing for crowd in (*Standing, None) if kept is not crowd]


@pytest.mark.parametrize(("kept", "crowd"), PAIRS)
def test_no_number_of_newer_revisions_pushes_out_one_of_another_standing(kept, crowd):
    names = {"old": 0} | {f"new{number}": number for number in range(1, 30)}
    marks = {"old": mark(kept, 0)}
    if crowd is not None:
        marks |= {name: mark(crowd, number) for name, number in names.items() if number}
    stay = standing.kept(names, marks=marks, in_use=frozenset(), limit=3)
    assert stay == {"old", "new27", "new28", "new29"}


@pytest.mark.parametrize("of", Standing)
def test_of_one_standing_those_decided_last_stay_beside_those_in_use(of):
    numbers = {f"r{number}": number for number in range(10)}
    marks = {name: mark(of, -number) for name, number in numbers.items()}  # the oldest record was decided last
    stay = standing.kept(numbers, marks=marks, in_use=frozenset({"r9"}), limit=2)
    assert stay == {"r0", "r1", "r9"}
