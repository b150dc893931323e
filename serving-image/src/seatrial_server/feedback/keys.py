"""The keys that tokens are signed with, as they are mounted: the file `key` signs, `previous` is accepted beside it.

All pods of a deployment mount the same Secret, so each can count what another has answered. The kubelet renews the
files when the Secret changes, and adds them when it is made later than the pod.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from seatrial_server.host import watching

NAMES = ("key", "previous")
_MOST_BYTES = 4096
_LOOK_SECONDS = 1.0


class Keys:
    """Tells `changed` which keys hold, whenever these are others."""

    def __init__(self, folder: Path, changed: Callable[[Sequence[bytes]], None]) -> None:
        self._changed = changed
        self._found: dict[str, bytes] = {}
        self._watched = [
            watching.Watched(folder / name, most=_MOST_BYTES, take=functools.partial(self._take, name))
            for name in NAMES
        ]

    async def watch(self) -> None:
        """Follow the files until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    def look(self) -> None:
        """Once. Without a key to sign with there is none."""
        before = dict(self._found)
        for watched in self._watched:
            watched.look()
        if self._found != before:
            self._changed(
                [self._found[name] for name in NAMES if name in self._found] if NAMES[0] in self._found else ()
            )

    def _take(self, name: str, content: bytes) -> None:
        if content:
            self._found[name] = content
        else:
            self._found.pop(name, None)
