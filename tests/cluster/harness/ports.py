"""Ports for programs that can't tell which one they chose themselves."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket

_OURS = range(15000, 30000)
"""Below those that the kernel gives to clients, of which any may be taken before the program has started; and below
the node ports.
"""


def free(count: int = 1) -> list[int]:
    """So many, each free on every address a moment ago, and promised to nobody else of this test run."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < count:
            one, port = held.enter_context(socket.socket()), next(_turns)
            with contextlib.suppress(OSError):
                one.bind(("0.0.0.0", port))
                found.append(port)
    return found


def free_port() -> int:
    return free()[0]


def _own() -> list[int]:
    """Those of this process in an order of its own: workers that run side by side share none."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = _OURS[worker :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    return random.sample(mine, len(mine))


_turns = itertools.cycle(_own())
