"""A status that another release or a hand wrote: what can be read is read, nothing raises, losses are named."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from tests.unit.rollout import build

from seatrial.api import stored
from seatrial.api.status import Reason, Status, VerdictKind
from seatrial.rollout import bounds


def full() -> dict[str, Any]:
    """A status in which everything is set."""
    made: dict[str, Any] = json.loads(msgspec.json.encode(bounds.fitting(build.longest_status())))
    return made


def test_what_this_release_wrote_is_read_back_whole():
    assert stored.read(full()) == (msgspec.convert(full(), Status), ())
    assert stored.read({}) == (Status(), ())


def test_fields_of_a_newer_release_are_passed_over():
    raw = full()
    raw["novelty"] = {"a": 1}
    raw["candidate"]["novelty"] = True
    assert stored.read(raw) == (msgspec.convert(full(), Status), ())


def test_an_unknown_phase_or_reason_costs_nothing_but_the_word():
    raw = full()
    raw["phase"] = "Relaying"
    raw["verdicts"][0]["reason"] = "MoodRegressed"
    seen, lost = stored.read(raw)
    assert (seen.verdicts[0].reason, len(seen.verdicts)) == (Reason.UNKNOWN, len(raw["verdicts"]))
    assert (seen.candidate, seen.stable) == (
        msgspec.convert(full(), Status).candidate,
        msgspec.convert(full(), Status).stable,
    )
    assert lost == ("status.phase", "status.verdicts[0].reason")


def test_a_verdict_of_an_unknown_kind_lets_nobody_in():
    raw = full()
    raw["verdicts"][1]["verdict"] = "Quarantined"
    assert stored.read(raw)[0].verdicts[1].verdict is VerdictKind.REJECTED


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+00:00"])
def test_a_moment_that_no_deadline_can_follow_from_is_left_out_and_named(moment):
    raw = full()
    raw["verdicts"][0]["at"] = moment
    raw["previous"]["warmUntil"] = moment
    seen, lost = stored.read(raw)
    assert (len(seen.verdicts), seen.previous) == (len(raw["verdicts"]) - 1, None)
    assert {"status.verdicts[0].at", "status.previous.warmUntil"} <= set(lost)


def test_a_part_that_cannot_be_read_is_left_out_and_named():
    raw = full()
    raw["analysis"]["at"] = "yesterday"
    raw["verdicts"][2] = "Rejected"
    seen, lost = stored.read(raw)
    assert seen.analysis is None
    assert len(seen.verdicts) == len(raw["verdicts"]) - 1
    assert {"status.analysis", "status.analysis.at", "status.verdicts[2]"} <= set(lost)


def test_a_text_that_is_too_long_is_cut():
    raw = full()
    raw["endpoint"] = "x" * 5000
    assert len(stored.read(raw)[0].endpoint) == 2048


@pytest.mark.parametrize(
    "raw", [None, 7, "gone", [], {"stable": []}, {"conditions": {}}, {"candidate": {"revision": 7}}]
)
def test_nothing_that_is_stored_raises(raw):
    assert isinstance(stored.read(raw)[0], Status)


@pytest.mark.long
def test_no_single_fault_in_a_status_raises_or_takes_the_stable_version_with_it():
    rng = random.Random(5)
    for _ in range(200):
        raw = full()
        spoil(raw, rng)
        seen, _ = stored.read(raw)
        assert msgspec.convert(msgspec.to_builtins(seen), Status) == seen
        if raw.get("stable") == full()["stable"]:
            assert seen.stable == msgspec.convert(full(), Status).stable


def spoil(raw: Any, rng: random.Random) -> None:
    """Puts something else in one place, however deep."""
    places = list(raw) if isinstance(raw, dict) else list(range(len(raw)))
    place = rng.choice(places)
    if isinstance(raw[place], dict | list) and raw[place] and rng.random() < 0.8:
        spoil(raw[place], rng)
    else:
        raw[place] = rng.choice([None, -1, "?", {}, [], 10**30, True])
