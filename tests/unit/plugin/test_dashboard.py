"""What the dashboard draws, and what is vendored for it."""

from __future__ import annotations

import hashlib
import json
from importlib import resources

import pytest
from tests.unit.plugin import recorded

from seatrial import plugin
from seatrial.plugin.dashboard import board

VENDORED = resources.files(plugin).joinpath("dashboard", "static", "uplot")


def test_what_is_vendored_is_what_its_package_has() -> None:
    told = json.loads(VENDORED.joinpath("vendored.json").read_text())
    digests = {name: hashlib.sha256(VENDORED.joinpath(name).read_bytes()).hexdigest() for name in told["sha256"]}
    assert digests == told["sha256"]
    assert "Leon Sorokin" in VENDORED.joinpath("LICENSE").read_text()
    assert {one.name for one in VENDORED.iterdir()} == {*told["sha256"], "vendored.json", "LICENSE"}


STAGES = {
    "on trial": "trial",
    "starting": "starting",
    "canary": "10%",
    "paused": "10%",
    "promoting": "promotion",
    "soaking": "soak",
}


@pytest.mark.parametrize(("situation", "now"), STAGES.items())
def test_the_stage_is_marked(situation: str, now: str) -> None:
    steps = board.of(recorded.seen(recorded.world(situation)), points=()).steps
    assert [one.name for one in steps if one.state == "now"] == [now]
    assert [one.state for one in steps] == sorted((one.state for one in steps), key=["past", "now", "ahead"].index)


@pytest.mark.parametrize(
    ("situation", "tone"), [("stable", "good"), ("rolled back", "bad"), ("canary", "going"), ("paused", "held")]
)
def test_the_tone_says_how_it_is(situation: str, tone: str) -> None:
    assert board.of(recorded.seen(recorded.world(situation)), points=()).tone == tone


def test_a_point_has_shares_and_evidence_while_something_rolls() -> None:
    world = recorded.SITUATIONS["canary"]()
    for _ in range(3):
        world.step()
    point = board.point(recorded.seen(world), at=5.0)
    assert point is not None
    assert (point.at, point.asked) == (5.0, 10)
    assert point.seen is not None
    assert "errors" in point.evidence
    assert board.point(recorded.seen(recorded.world("stable")), at=5.0) is None


def test_a_long_rollout_is_thinned_out_and_keeps_its_ends() -> None:
    points: tuple[board.Point, ...] = ()
    for at in range(3 * board.MOST_POINTS):
        points = board.grown(points, board.Point(at=at, asked=1, seen=None, evidence={}))
    assert len(points) <= board.MOST_POINTS + 1
    assert (points[0].at, points[-1].at) == (0, 3 * board.MOST_POINTS - 1)
    assert [one.at for one in points] == sorted(one.at for one in points)
