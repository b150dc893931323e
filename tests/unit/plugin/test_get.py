"""`get -w` and `status --timeout` while the object changes under them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from tests.unit.plugin import recorded

from seatrial.plugin import connection, errors, main


class Connected:
    """An API server whose object is deleted after so many requests, and right after a change, if it lives to see one:
    before anybody could ask for it again.
    """

    namespace = "shop"

    def __init__(self, *, asked: int = 100) -> None:
        self._raw: dict[str, Any] | None = recorded.raw(recorded.world("canary"))
        self._left = asked

    def _now(self) -> dict[str, Any] | None:
        self._left -= 1
        if self._left < 0:
            self._raw = None
        return self._raw

    def get(self, name: str) -> dict[str, Any]:
        if (found := self._now()) is None:
            raise errors.NotFound(f"there is no ModelDeployment {name}")
        return found

    def listed(self, name: str, *, everywhere: bool = False) -> tuple[list[dict[str, Any]], str]:
        found = self._now()
        return [] if found is None else [found], "the list's version"

    def pods(self, selector: str) -> list[dict[str, Any]]:
        return []

    def watch(self, name: str, *, since: str, everywhere: bool = False, seconds: float) -> Iterator[dict[str, Any]]:
        assert since == "the list's version", "what is deleted before the watch begins is never told"
        changed = copy.deepcopy(self.get(name))
        self._raw = None
        yield changed
        changed["metadata"]["deletionTimestamp"] = "now"
        yield changed


@pytest.mark.parametrize("asked", [1, 100], ids=["before it is watched", "right after a change"])
def test_a_watch_ends_well_with_an_object_that_goes(monkeypatch: pytest.MonkeyPatch, asked: int) -> None:
    monkeypatch.setattr(connection, "connect", lambda **_: Connected(asked=asked))
    done = CliRunner().invoke(main.group, ["get", "churn", "-w"])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "churn is deleted"


@pytest.mark.parametrize("asked", [1, 100], ids=["before it is watched", "right after a change"])
def test_who_waits_for_the_end_is_told_that_it_is_gone(monkeypatch: pytest.MonkeyPatch, asked: int) -> None:
    monkeypatch.setattr(connection, "connect", lambda **_: Connected(asked=asked))
    done = CliRunner().invoke(main.group, ["status", "churn", "--timeout", "10m"])
    assert done.exit_code == 1, done.output
    assert done.output.splitlines()[-1].endswith("is deleted")


def test_what_was_never_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "connect", lambda **_: Connected(asked=0))
    done = CliRunner().invoke(main.group, ["get", "churn", "-w"])
    assert done.exit_code == 3, done.output
    assert "there is no ModelDeployment churn" in done.output
