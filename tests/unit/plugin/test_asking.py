"""What the plugin refuses is exactly what the operator would ignore: both are asked, in every situation."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.plugin import recorded
from tests.unit.rollout import world as worlds

from seatrial.api import status
from seatrial.plugin import asking, main, view

COMMANDS = ("promote", "abort", "pause", "resume", "retry")
STEPS = 40


def ignored(world: worlds.World, command: str) -> bool:
    """The operator got the token and said that it came to nothing. One that it keeps for later did not."""
    world.events.clear()
    world.tokens = msgspec.structs.replace(world.tokens, **{command: "token-9"})
    for _ in range(STEPS):
        world.step()
        if getattr(world.status.commands, command) == "token-9":
            return "CommandIgnored" in world.events
    return False


@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("situation", recorded.SITUATIONS)
def test_the_plugin_refuses_what_the_operator_would_ignore_and_nothing_else(situation: str, command: str) -> None:
    world = recorded.SITUATIONS[situation]()
    why = asking.why_not(command, recorded.seen(world))
    if (situation, command) == ("paused", "pause"):
        assert "is held already" in why  # the operator takes the token, and nothing becomes different
        return
    assert bool(why) == ignored(world, command), why


def test_a_refresh_is_refused_where_the_spec_names_the_image() -> None:
    raw = recorded.raw(recorded.world("stable"))
    raw["spec"]["serving"]["image"] = "mine:1"
    assert "names mine:1" in asking.why_not("refresh-image", view.of(raw))


def drifting(*columns: str) -> view.View:
    """Stable, and watched for drift, with alarms on these columns."""
    raw = recorded.raw(recorded.world("stable"))
    moment = "2026-01-02T12:00:00Z"
    alarm = {"kind": "Feature", "test": "Shape", "outcome": "Drifted"}
    raw["status"]["drift"] = {
        "revision": raw["status"]["stable"]["revision"],
        "outcome": "Drifted" if columns else "Clean",
        "since": moment,
        "at": moment,
        "columns": [{"name": name, **alarm} for name in columns],
    }
    return view.of(raw)


def test_drift_is_accepted_only_where_there_is_some() -> None:
    assert "nothing is said of drift" in asking.why_not("accept-drift", recorded.seen(recorded.world("stable")))
    assert "no drift is found" in asking.why_not("accept-drift", drifting())
    assert asking.why_not("accept-drift", drifting("income")) == ""


@pytest.mark.parametrize(
    ("command", "spec", "status", "refused"),
    [
        pytest.param("retrain", {}, {}, True, id="nothing says how to train"),
        pytest.param("retrain", {"retraining": {"jobTemplate": {}}}, {}, False, id="retrain"),
        pytest.param("adopt", {}, {"trained": {"base": {}, "current": {}}}, True, id="nothing is offered"),
        pytest.param("adopt", {}, {"trained": {"offered": {"version": "8"}}}, False, id="adopt"),
        pytest.param("unfollow", {}, {}, True, id="nothing is followed"),
        pytest.param("unfollow", {}, {"trained": {"current": {"version": "8"}}}, False, id="unfollow"),
    ],
)
def test_commands_about_training_are_refused_where_there_is_none(
    command: str, spec: dict[str, Any], status: dict[str, Any], refused: bool
) -> None:
    raw = recorded.raw(recorded.world("stable"))
    raw["spec"] |= spec
    raw["status"] |= status
    assert bool(asking.why_not(command, view.of(raw))) == refused


def test_every_command_of_the_resource_can_be_given() -> None:
    given = {name.replace("rollback", "rollback-to") for name in main.COMMANDS}
    fields = {field.replace("_", "-") for field in status.Commands.__struct_fields__}
    assert fields <= given


def test_every_refusal_is_one_sentence_that_names_a_version() -> None:
    worlds_ = [recorded.world(situation) for situation in recorded.SITUATIONS]
    said = [asking.why_not(command, recorded.seen(one)) for one in worlds_ for command in COMMANDS]
    assert [one for one in said if one and ("version" not in one or "\n" in one)] == []


# rollback


def versions(world: worlds.World) -> dict[str, str]:
    return {version: revision for revision, version in world.versions.items()}


def test_a_rollback_takes_a_version_or_a_revision() -> None:
    world = recorded.world("second promoted")
    first = versions(world)["1"]
    assert asking.target(recorded.seen(world), "1") == (first, "")
    assert asking.target(recorded.seen(world), first) == (first, "")


@pytest.mark.parametrize(
    ("situation", "named", "words"),
    [
        ("second promoted", "2", "serves already"),
        ("second promoted", "9", "9 is no version that was promoted"),
        ("stable", "1", "serves already"),
        ("rolled back", "2", "is no version that was promoted"),
        ("canary", "2", "is no version that was promoted"),
    ],
)
def test_a_rollback_that_would_do_nothing_says_why(situation: str, named: str, words: str) -> None:
    revision, why = asking.target(recorded.seen(recorded.world(situation)), named)
    assert (revision, words in why) == ("", True), why


def test_a_version_that_is_two_revisions_has_to_be_named_by_one() -> None:
    raw: dict[str, Any] = recorded.raw(recorded.world("second promoted"))
    (first,) = (one for one in raw["status"]["verdicts"] if one["modelVersion"] == "1")
    raw["status"]["verdicts"] = [*raw["status"]["verdicts"], {**first, "revision": "othername1"}]
    assert "is several revisions: name one of" in asking.target(view.of(raw), "1")[1]


def test_a_revision_older_than_what_status_keeps_is_left_to_the_operator() -> None:
    raw: dict[str, Any] = recorded.raw(recorded.world("second promoted"))
    raw["status"]["verdicts"] = list(raw["status"]["verdicts"][:1]) * 20
    assert asking.target(view.of(raw), "oldoldold1") == ("oldoldold1", "")


def test_a_command_that_this_plugin_does_not_know_is_let_through() -> None:
    assert asking.why_not("dance", recorded.seen(recorded.world("stable"))) == ""
