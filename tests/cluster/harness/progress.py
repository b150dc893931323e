"""Tells the person in front of the terminal what is being done and how long it took.

A step that is over within two seconds is one line; a longer one announces itself and gives a sign of life every 15
seconds.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

Say = Callable[[str], None]

_QUIET_SECONDS = 2.0
_HEARTBEAT_SECONDS = 15.0


def silent(_: str) -> None:
    """A `say` for callers that want no output."""


@contextlib.contextmanager
def step(say: Say, what: str) -> Iterator[None]:
    """Reports `what` with its duration when the block ends, and while it lasts."""
    began = time.monotonic()
    over = threading.Event()

    def heartbeat() -> None:
        wait = _QUIET_SECONDS
        while not over.wait(wait):
            elapsed = time.monotonic() - began
            say(f"{what} ..." if wait == _QUIET_SECONDS else f"{what} ... {elapsed:.0f} s so far")
            wait = _HEARTBEAT_SECONDS

    thread = threading.Thread(target=heartbeat, daemon=True)
    thread.start()
    outcome = "failed after"
    try:
        yield
        outcome = "done in"
    finally:
        over.set()
        thread.join()
        say(f"{what}: {outcome} {time.monotonic() - began:.1f} s")
