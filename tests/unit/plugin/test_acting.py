"""What the commands write is what the operator follows: the annotation of the one is the token of the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from tests.unit.plugin import recorded
from tests.unit.rollout import test_retraining as retraining
from tests.unit.rollout import world as worlds

from seatrial.plugin import connection, main


class Connected:
    """The API server, as far as these commands ask it."""

    namespace = "shop"

    def __init__(self, world: worlds.World) -> None:
        self._raw = recorded.raw(world)
        self.written: dict[str, str] = {}

    def get(self, name: str) -> dict[str, Any]:
        return self._raw

    def annotate(self, name: str, annotations: Mapping[str, str]) -> None:
        self.written.update(annotations)


def idle() -> worlds.World:
    return retraining.serving()


def waiting() -> worlds.World:
    return retraining.trained(idle())


def followed() -> worlds.World:
    return retraining.followed(idle())


FOLLOWED: dict[str, tuple[Callable[[], worlds.World], tuple[str, ...], Callable[[worlds.World], bool]]] = {
    "retrain": (idle, ("retrain",), lambda one: bool(retraining.runs(one))),
    "retrain --now": (followed, ("retrain", "--now"), lambda one: len(retraining.runs(one)) == 2),
    "adopt": (waiting, ("adopt",), retraining.on_its_way),
    "unfollow": (followed, ("unfollow",), lambda one: one.serving == "1"),
    "abort": (recorded.SITUATIONS["canary"], ("abort",), lambda one: one.status.candidate is None),
}


@pytest.mark.parametrize(("make", "words", "done"), FOLLOWED.values(), ids=FOLLOWED)
def test_what_is_asked_for_is_done(
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], worlds.World],
    words: tuple[str, ...],
    done: Callable[[worlds.World], bool],
) -> None:
    world = make()
    connected = Connected(world)
    monkeypatch.setattr(connection, "connect", lambda **_: connected)
    command, *options = words
    result = CliRunner().invoke(main.group, [command, "churn", *options])
    assert result.exit_code == 0, result.output
    [(name, token)] = connected.written.items()
    field = name.removeprefix("seatrial.dev/").replace("-", "_")
    world.tokens = msgspec.structs.replace(world.tokens, **{field: token})
    world.events.clear()
    world.run(done)
    assert "CommandIgnored" not in world.events


def test_the_version_that_waits_is_named_so_that_no_later_one_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    connected = Connected(waiting())
    monkeypatch.setattr(connection, "connect", lambda **_: connected)
    result = CliRunner().invoke(main.group, ["adopt", "churn"])
    assert result.exit_code == 0, result.output
    assert connected.written["seatrial.dev/adopt"].startswith("a/cli-")
