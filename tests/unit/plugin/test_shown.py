"""What people see of a deployment: the tree, the state that scripts get, the picture of the evidence."""

from __future__ import annotations

import base64
import gzip
import io
from datetime import UTC, datetime

import pytest
from rich.console import Console
from tests.unit.plugin import recorded
from tests.unit.rollout import world as worlds

from seatrial.analysis import recording, verdict
from seatrial.plugin import chart, explain, status, tree, view, words

NOW = datetime(2026, 1, 1, 13, tzinfo=UTC)


def text(world: worlds.World) -> str:
    """The tree as a wide terminal without colours shows it."""
    out = Console(file=io.StringIO(), width=200, markup=False, highlight=False)
    out.print(tree.render(recorded.seen(world), recorded.pods(world), now=NOW))
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_a_canary_shows_shares_asked_and_seen_its_step_and_its_evidence() -> None:
    world = recorded.SITUATIONS["canary"]()
    for _ in range(3):
        world.step()
    shown = text(world)
    assert "shop/churn  Canary" in shown
    assert "step 1 of 2" in shown
    assert "share: 10% asked" in shown
    assert "% seen (" in shown
    assert "evidence: " in shown
    assert "errors" in shown
    assert shown.count("pod ") == len(world.pods)


def test_a_rollback_shows_who_serves_and_what_was_decided() -> None:
    shown = text(recorded.world("rolled back"))
    assert "RolledBack" in shown
    assert "stable version 1" in shown
    assert "version 2 Rejected ErrorsRegressed" in shown
    assert "candidate version" not in shown


@pytest.mark.parametrize("situation", recorded.SITUATIONS)
def test_every_situation_can_be_shown(situation: str) -> None:
    shown = text(recorded.world(situation))
    assert shown.startswith("shop/churn  ")
    assert "version" in shown


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        ("first install", status.State.WAITING),
        ("stable", status.State.READY),
        ("on trial", status.State.WAITING),
        ("canary", status.State.WAITING),
        ("paused", status.State.WAITING),
        ("soaking", status.State.READY),
        ("rolled back", status.State.FAILED),
        ("refused", status.State.FAILED),
        ("aborted", status.State.FAILED),
    ],
)
def test_the_state_is_that_of_kstatus(situation: str, expected: status.State) -> None:
    assert status.state(recorded.seen(recorded.world(situation))) is expected


def test_a_status_about_an_older_spec_says_nothing() -> None:
    raw = recorded.raw(recorded.world("stable"))
    raw["metadata"]["generation"] = 2
    assert status.state(view.of(raw)) is status.State.WAITING


def test_an_object_that_the_operator_has_not_seen_is_waiting() -> None:
    raw = {"metadata": {"name": "a", "namespace": "b", "generation": 1}, "spec": {"model": {"sha256": "9f" * 32}}}
    assert status.state(view.of(raw)) is status.State.WAITING


def test_words_of_another_release_do_no_harm() -> None:
    raw = recorded.raw(recorded.world("rolled back"))
    raw["status"]["phase"] = "Hovering"
    raw["status"]["verdicts"][0]["reason"] = "MoonPhase"
    raw["spec"]["novelty"] = {"of": "another release"}
    raw["spec"]["replicas"] = "many"
    found = view.of(raw)
    assert found.spec is None
    assert found.status.stable is not None
    assert status.state(found) is status.State.FAILED


def test_brackets_in_a_message_are_no_markup() -> None:
    raw = recorded.raw(recorded.world("stable"))
    raw["status"]["conditions"][0]["message"] = "[red]x[/nope] \\[bold]"
    out = Console(file=io.StringIO(), width=200, markup=False)
    out.print(tree.render(view.of(raw), [], now=NOW))
    assert isinstance(out.file, io.StringIO)
    assert "[red]x[/nope] \\[bold]" in out.file.getvalue()


def test_what_labels_say_is_shown_with_its_figures() -> None:
    raw = recorded.raw(recorded.world("stable"))
    raw["status"]["quality"] = {
        "revision": raw["status"]["stable"]["revision"],
        "outcome": "Dropped",
        "since": "2026-01-02T12:00:00Z",
        "at": "2026-01-02T12:00:00Z",
        "labelled": 3940,
        "wrong": 612,
        "share": "15.5%",
        "low": "13.6%",
        "high": "17.6%",
        "window": "48h",
        "limit": "10.7%",
        "against": "Holdout",
        "evidence": "3e+09",
        "bound": "8.76e+04",
        "estimated": "9.2%",
        "estimatedLow": "8.4%",
        "estimatedHigh": "10.1%",
    }
    out = Console(file=io.StringIO(), width=200)
    out.print(tree.render(view.of(raw), [], now=NOW))
    assert isinstance(out.file, io.StringIO)
    shown = out.file.getvalue()
    assert "quality Dropped since 2026-01-02 12:00Z" in shown
    assert "612 of 3940 labelled rows wrong over 48h: 15.5% (13.6% to 17.6%), limit 10.7% (Holdout)" in shown
    assert "by confidence alone 9.2% wrong (8.4% to 10.1%)" in shown


# explain


@pytest.mark.parametrize("situation", recorded.SITUATIONS)
def test_there_is_advice_in_every_situation(situation: str) -> None:
    seen = recorded.seen(recorded.world(situation))
    advice = explain.advice(seen)
    told_to = [word for word in ("retry", "resume", "promote") if f"seatrial {word}" in advice]
    expected = {
        "rolled back": ["retry"],
        "refused": ["retry"],
        "aborted": ["retry"],
        "paused": ["resume"],
        "waiting for approval": ["promote"],
    }
    assert told_to == expected.get(situation, [])


def test_the_evidence_of_a_rollback_reaches_the_bound_in_the_picture() -> None:
    world = recorded.world("rolled back")
    assert world.evidence is not None
    found = recording.read(replay_file(world))
    course = tuple(verdict.judge_each(found.slots, found.allowed, history=found.history))
    first, *_ = lines = chart.lines(course)
    assert first.name == "errors"
    assert max(first.parts) >= 1
    picture = chart.draw(lines, title="evidence", times="seconds", width=80, colour=False)
    assert "errors" in picture
    assert max(len(line) for line in picture.splitlines()) <= 80


def replay_file(world: worlds.World) -> bytes:
    assert world.evidence is not None
    return gzip.decompress(base64.b64decode(world.evidence["binaryData"]["replay.json.gz"]))


@pytest.mark.parametrize(
    ("seconds", "said"), [(5, "5s"), (119, "119s"), (121, "2m"), (7300, "2h"), (200_000, "2d"), (-5, "0s")]
)
def test_ages_are_told_as_kubectl_does(seconds: int, said: str) -> None:
    assert words.age(datetime.fromtimestamp(NOW.timestamp() - seconds, UTC), NOW) == said


def test_progress_is_on_the_scale_on_which_evidence_grows() -> None:
    world = recorded.world("rolled back")
    analysis = recorded.seen(world).status.analysis
    assert analysis is not None
    (errors,) = (one for one in analysis.metrics if one.name == "errors")
    assert words.progress(errors) == 1.0
    assert all(0 <= (words.progress(one) or 0) <= 1 for one in analysis.metrics)
