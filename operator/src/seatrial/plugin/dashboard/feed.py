"""Watches the deployments of a namespace and keeps what the page draws; wakes who waits for news.

One thread watches; any number of listeners wait. What was seen before the page was opened isn't known, but for a
rollback, whose evidence the operator has kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from seatrial.plugin import chart, errors, kept, view
from seatrial.plugin.connection import Connection
from seatrial.plugin.dashboard import board

WATCHED = 120.0
PAUSE = 2.0

Key = tuple[str, str]


class State(msgspec.Struct, frozen=True):
    """All boards. `trouble`: why they may be old; nothing while they are not."""

    namespace: str
    boards: tuple[board.Board, ...]
    trouble: str = ""


class Feed:
    """The newest state, with a number that grows with every change.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, connected: Connection, *, clock: Callable[[], float] = time.time) -> None:
        self._connected = connected
        self._clock = clock
        self._views: dict[Key, view.View] = {}
        self._points: dict[Key, tuple[board.Point, ...]] = {}
        self._candidates: dict[Key, str] = {}
        self._recorded: dict[tuple[Key, str], tuple[chart.Line, ...]] = {}
        self._trouble = ""
        self._number = 0
        self._news = threading.Condition()
        self._ended = threading.Event()

    def start(self) -> None:
        """Looks once, so that what is wrong is told to the caller; then goes on in a thread until `stop`.

        Raises:
            errors.PluginError: the namespace can't be looked at.
        """
        self._look()
        threading.Thread(target=self._run, name="feed", daemon=True).start()

    def stop(self) -> None:
        """Listeners are let go; the thread ends with its watch."""
        self._ended.set()
        with self._news:
            self._news.notify_all()

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def newer(self, than: int, *, seconds: float) -> tuple[int, State | None]:
        """The state once its number is above `than`; None when nothing came for so long, or it has ended."""
        with self._news:
            self._news.wait_for(lambda: self._number > than or self.ended, timeout=seconds)
            if self._number <= than:
                return than, None
            return self._number, self._state()

    def _run(self) -> None:
        while not self.ended:
            try:
                version = self._look()
                for changed in self._connected.watch(seconds=WATCHED, since=version):
                    if self.ended:
                        return
                    self._take(view.of(changed))
            except errors.PluginError as error:
                self._tell(error.message)
            self._ended.wait(PAUSE)

    def _look(self) -> str:
        """What there is now; deployments that are gone since leave the page. The version that this is."""
        listed, version = self._connected.listed()
        found = [view.of(one) for one in listed]
        with self._news:
            for gone in self._views.keys() - {(one.namespace, one.name) for one in found}:
                del self._views[gone]
                self._number += 1
            self._news.notify_all()
        self._tell("")
        for one in found:
            self._take(one)
        return version

    def _take(self, seen: view.View) -> None:
        """One deployment as it is now."""
        key = (seen.namespace, seen.name)
        lines = () if seen.gone else self._lines(key, seen)
        with self._news:
            if seen.gone:
                self._views.pop(key, None)
            else:
                self._keep(key, seen)
                if lines and seen.verdict is not None:
                    self._recorded[key, seen.verdict.revision] = lines
            self._number += 1
            self._news.notify_all()

    def _keep(self, key: Key, seen: view.View) -> None:
        """A new candidate begins a new picture; when it is gone its last one stays."""
        candidate = seen.status.candidate
        if candidate is not None and self._candidates.get(key) != candidate.revision:
            self._candidates[key] = candidate.revision
            self._points[key] = ()
        known = self._views.get(key)
        if known is None or known.status != seen.status:
            self._points[key] = board.grown(self._points.get(key, ()), board.point(seen, at=self._clock()))
        self._views[key] = seen

    def _lines(self, key: Key, seen: view.View) -> tuple[chart.Line, ...]:
        """The evidence of a rollback, read once."""
        found = seen.verdict
        if found is None or seen.status.candidate is not None or (key, found.revision) in self._recorded:
            return ()
        try:
            return chart.lines(kept.course(seen, self._connected))
        except errors.PluginError:
            return ()

    def _tell(self, trouble: str) -> None:
        with self._news:
            if trouble != self._trouble:
                self._trouble = trouble
                self._number += 1
                self._news.notify_all()

    def _state(self) -> State:
        boards = []
        for key in sorted(self._views):
            seen = self._views[key]
            revision = seen.verdict.revision if seen.verdict is not None else ""
            lines = self._recorded.get((key, revision), ())
            boards.append(board.of(seen, points=self._points.get(key, ()), recorded=lines))
        return State(self._connected.namespace, tuple(boards), self._trouble)
