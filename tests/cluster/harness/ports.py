"""Ports for programs that can't tell which one they chose themselves."""

from __future__ import annotations

import contextlib
import random
import socket

_OURS = range(15000, 30000)
"""Below those that the kernel gives to clients, of which any may be taken before the program has started; and below
the node ports.
"""


def free(count: int = 1) -> list[int]:
    """So many, each free on every address a moment ago."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < count:
            one, port = held.enter_context(socket.socket()), random.choice(_OURS)
            with contextlib.suppress(OSError):
                one.bind(("0.0.0.0", port))
                found.append(port)
    return found


def free_port() -> int:
    return free()[0]
