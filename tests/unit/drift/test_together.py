"""Many columns at once come to the same as each of them alone."""

import numpy as np
import pytest
from tests.unit.drift import build

from seatrial.drift import course, policy, stored, tests, together, watch
from seatrial.drift.season import Season

POLICY = policy.Policy(season=Season.AUTO)
DAY = 24
COLUMNS = [
    build.numbers("a", missing=0.1),
    build.numbers("b", shares=(0.3, 0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05), rows=300),
    build.numbers("c", shares=(0.5, 0.5), edges=()),
    build.numbers("d", shares=(1.0,), edges=()),
    build.categories("e", shares={"x": 0.1, "y": 0.6, "z": 0.3}),
    build.categories("f", shares={"p": 0.5, "q": 0.4, "r": 0.05}, other=0.05),
    build.categories("g", shares={"x": 0.6, "y": 0.3, "z": 0.1}, rows=200),
]
"""Equal bins and unequal ones, an order of categories of each column's own, one without a shape."""


def hours(count, *, pods, begin=0, seed=1, moved=()):
    """Hours of rows; `moved` columns have all of them in one bin."""
    random = np.random.default_rng(seed)
    shares = {
        column.name: np.eye(len(column.bins))[3] if column.name in moved else np.array(column.reference)
        for column in COLUMNS
    }
    for at in range(begin, begin + count):
        rows = [{name: random.poisson(60 * share).tolist() for name, share in shares.items()} for _ in range(pods)]
        yield build.hour(at, *rows)


def after(columns, counted, memory=watch.EMPTY):
    judged = None
    for hour in counted:
        memory, judged = watch.after(memory, hour, columns=columns, policy=POLICY)
    return memory, judged


@pytest.mark.parametrize("pods", [1, 2])
@pytest.mark.parametrize("count", [1, 2 * DAY])
def test_what_is_remembered_is_the_same(count, pods):
    whole, _ = after(COLUMNS, hours(count, pods=pods))
    for column in COLUMNS:
        alone, _ = after([column], hours(count, pods=pods))
        assert stored.state(whole).columns[column.name] == stored.state(alone).columns[column.name]


@pytest.mark.parametrize(("count", "pods"), [(1, 1), (1, 2), (2, 1), (DAY, 2), (8 * DAY, 2)])
def test_what_a_look_says_is_the_same(count, pods):
    memory, _ = after(COLUMNS, hours(count, pods=pods, moved=("b", "e")))
    asked = [(column, tests.of(column, POLICY)) for column in COLUMNS]
    seen = set()
    for block in together.blocks(asked, memory.traces, at=0):
        for look in course.looks(block.trace, block.tests, of=POLICY.season):
            for place, (column, own) in enumerate(block.asked):
                one = block.look(look, place)
                [test] = [test for test in own if test.question is look.test.question]
                alone = course.look(memory.traces[column.name], test, one.window, of=POLICY.season)
                assert one.test is test
                for field in ("counts", "dispersion", "most", "room", "log_evidence"):
                    assert getattr(one, field) == pytest.approx(getattr(alone, field)), (column.name, field)
                seen.add((column.name, test.question))
    assert seen == {(column.name, test.question) for column, own in asked for test in own}


def test_columns_of_one_form_are_one_block_and_those_with_other_gaps_are_not():
    memory, _ = after(COLUMNS, hours(3, pods=2))
    asked = [(column, tests.of(column, POLICY)) for column in COLUMNS]
    named = [[column.name for column, _ in block.asked] for block in together.blocks(asked, memory.traces, at=3)]
    assert named == [["a", "b"], ["c"], ["d"], ["e", "f", "g"]]
    late = {name: trace for name, trace in memory.traces.items() if name != "b"}
    named = [[column.name for column, _ in block.asked] for block in together.blocks(asked, late, at=3)]
    assert named == [["a"], ["b"], ["c"], ["d"], ["e", "f", "g"]]


def test_a_column_that_joins_later_begins_with_its_first_hour_beside_the_others():
    first, *others = COLUMNS
    memory, _ = after(others, hours(DAY, pods=2))
    memory, judged = after(COLUMNS, hours(2, pods=2, begin=DAY, seed=2), memory)
    assert {name: len(trace.past.hours) for name, trace in memory.traces.items()} == {
        first.name: 2,
        **{column.name: DAY for column in others},
    }
    assert judged.at == DAY + 1
