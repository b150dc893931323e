"""`get -w` while the object changes under it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from tests.unit.plugin import recorded

from seatrial.plugin import connection, errors, main


class Connected:
    """An API server whose object is deleted just after it has changed: before anybody could ask for it again."""

    namespace = "shop"

    def __init__(self) -> None:
        self._raw: dict[str, Any] | None = recorded.raw(recorded.world("canary"))

    def get(self, name: str) -> dict[str, Any]:
        if self._raw is None:
            raise errors.NotFound(f"there is no ModelDeployment {name}")
        return self._raw

    def pods(self, selector: str) -> list[dict[str, Any]]:
        return []

    def watch(self, name: str, *, everywhere: bool, seconds: float) -> Iterator[dict[str, Any]]:
        changed = copy.deepcopy(self.get(name))
        self._raw = None
        yield changed
        changed["metadata"]["deletionTimestamp"] = "now"
        yield changed


def test_a_watch_ends_well_with_an_object_that_went_right_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    connected = Connected()
    monkeypatch.setattr(connection, "connect", lambda **_: connected)
    done = CliRunner().invoke(main.group, ["get", "churn", "-w"])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "churn is deleted"
