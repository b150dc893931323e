"""Somebody has edited the status, or another release has written it: whatever it says, the next pass decides."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit import edits
from tests.unit.rollout import commanded, test_retraining
from tests.unit.rollout import world as worlds

from seatrial.api import stored
from seatrial.control import gauges
from seatrial.rollout import planner

SITUATIONS: dict[str, Callable[[], worlds.World]] = {
    "installed": commanded.installed,
    "canary": lambda: commanded.in_canary(commanded.installed()),
    "held": commanded.regressed,
    "trained, waits": lambda: test_retraining.trained(test_retraining.serving()),
    "trained, on its way": lambda: test_retraining.adopted(test_retraining.serving()),
    "trained, serves": lambda: test_retraining.followed(test_retraining.serving()),
}
MOMENTS = ["0001-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
ODD = [None, -1, 0, 1, 101, 2**53, 10**18, 0.5, "", "x", "x" * 3000, "no label!", [], {}, True, *MOMENTS]


@functools.cache
def written(situation: str) -> tuple[worlds.World, Any]:
    """The situation with its status as the API server has it: to be looked at, not to be changed."""
    world = SITUATIONS[situation]()
    return world, json.loads(msgspec.json.encode(world.status))


@pytest.mark.long
@pytest.mark.parametrize("situation", SITUATIONS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_edit_of_a_status_ends_the_passes(situation: str, data: st.DataObject) -> None:
    world, status = written(situation)
    edit = st.tuples(st.sampled_from(list(edits.places(status))), st.sampled_from(ODD))
    found, _ = stored.read(edits.made(status, data.draw(st.lists(edit, min_size=1, max_size=4))))
    snapshot = msgspec.structs.replace(world.snapshot(), status=found)
    after = planner.plan(snapshot, world.now).status
    assert msgspec.convert(msgspec.to_builtins(after), type(after)) == after
    assert list(gauges.samples(after))
