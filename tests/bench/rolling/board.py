"""The state of all rollouts under way: one listing a second for all of them, so that watching costs no load.

Waiting ends with the deadline, or when the whole benchmark is to stop.
"""

from __future__ import annotations

import json
import threading
import time
import types
from collections.abc import Callable
from typing import Any, Self

import msgspec
from tests.cluster import installation, watching
from tests.cluster.harness import errors

from seatrial.api.status import Status

EVERY = 1.0


class Stopped(Exception):
    """The benchmark ends early."""


class Board:
    """What the API server shows of every ModelDeployment, by namespace."""

    def __init__(self, platform: installation.Platform) -> None:
        self._platform = platform
        self._sights: dict[str, watching.Sight] = {}
        self._news = threading.Condition()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="board", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join()

    def stop(self) -> None:
        """Everybody who waits gets a `Stopped`."""
        self._over.set()
        with self._news:
            self._news.notify_all()

    def rest(self, seconds: float) -> None:
        """Nothing to be seen for so long."""
        if self._over.wait(seconds):
            raise Stopped

    def wait(
        self, namespace: str, done: Callable[[watching.Sight], bool], *, what: str, seconds: float
    ) -> watching.Sight:
        """The first sight of the namespace's object that is `done`; client's books are not in it.

        Raises:
            HarnessError: there was none within `seconds`.
            Stopped: the benchmark ends.
        """
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                if self._over.is_set():
                    raise Stopped
                sight = self._sights.get(namespace)
                if sight is not None and done(sight):
                    return sight
                if time.monotonic() > deadline:
                    raise errors.HarnessError(f"{what} did not come within {seconds:.0f} s; {_state(sight)}")
                self._news.wait(EVERY)

    def _follow(self) -> None:
        while not self._over.wait(EVERY):
            try:
                text = self._platform.cluster.kubectl("get", watching.RESOURCE, "-A", "-o", "json")
            except errors.HarnessError:
                continue  # a busy API server; whoever waits has a deadline
            with self._news:
                self._sights = {item["metadata"]["namespace"]: _sight(item) for item in json.loads(text)["items"]}
                self._news.notify_all()


def _sight(raw: dict[str, Any]) -> watching.Sight:
    return watching.Sight(
        generation=raw["metadata"]["generation"],
        status=msgspec.convert(raw.get("status", {}), Status),
        books=watching.Books(),
    )


def _state(sight: watching.Sight | None) -> str:
    return f"{sight.status.phase}: {sight.message}" if sight else "there is no object"
