"""What the dashboard's page is told of: nothing that happens between two looks is missed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from tests.unit.plugin import recorded

from seatrial.plugin.connection import Connection
from seatrial.plugin.dashboard import feed


class Cluster:
    """What is listed, by the version of the list, and from which version it was watched."""

    namespace = "shop"

    def __init__(self, *lists: list[dict[str, Any]]) -> None:
        self._lists = lists
        self._number = 0
        self.watched: list[str] = []
        self.feed: feed.Feed | None = None

    def listed(self) -> tuple[list[dict[str, Any]], str]:
        self._number += 1
        return self._lists[min(self._number, len(self._lists)) - 1], f"v{self._number}"

    def watch(self, *, seconds: float, since: str) -> Iterator[dict[str, Any]]:
        self.watched.append(since)
        assert self.feed is not None
        self.feed.stop()
        return iter(())


def test_a_page_is_told_that_its_last_deployment_has_gone_between_two_looks() -> None:
    cluster = Cluster([recorded.raw(recorded.world("stable"))], [])
    shown = feed.Feed(cast(Connection, cluster))
    shown._look()
    number, state = shown.newer(0, seconds=0)
    assert state is not None
    assert len(state.boards) == 1
    shown._look()
    _, state = shown.newer(number, seconds=0)
    assert state is not None
    assert state.boards == ()


def test_a_watch_begins_where_its_list_has_ended() -> None:
    """What is deleted between the two is told by a watch from that version, and by no other."""
    cluster = Cluster([recorded.raw(recorded.world("stable"))])
    cluster.feed = feed.Feed(cast(Connection, cluster))
    cluster.feed._run()
    assert cluster.watched == ["v1"]
