"""Settings that change while the server runs: a small JSON object in a mounted file, with a key for each part of it.

A part says which settings it takes and is told what holds from now on, first before a port is open. What can't be read
changes nothing: a typo must not switch anything off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from seatrial_server.host import logs, watching

log = logging.getLogger(__name__)

MAX_BYTES = 64 * 1024
_LOOK_SECONDS = 1.0
_Settings = TypeVar("_Settings", bound=msgspec.Struct)


class _Part:
    """One part, and what holds for it."""

    def __init__(self, kind: type[msgspec.Struct], changed: Callable[[Any], None]) -> None:
        self._kind, self._changed = kind, changed
        self._holds: msgspec.Struct | None = None

    def take(self, content: bytes) -> None:
        """Tells it when that is news. Raises msgspec.MsgspecError."""
        found = msgspec.json.decode(content, type=self._kind)
        if found != self._holds:
            self._holds = found
            self._changed(found)


class Live:
    """Follows the file. Left out settings are those of their Struct's defaults, and so is a part that is left out."""

    def __init__(self) -> None:
        self._parts: dict[str, _Part] = {}
        self._unknown: frozenset[str] = frozenset()

    def on(self, part: str, kind: type[_Settings], changed: Callable[[_Settings], None]) -> None:
        """Tell `changed` what holds for a part, whenever that is another thing than before."""
        self._parts[part] = _Part(kind, changed)

    def take(self, content: bytes) -> None:
        """What the file says from now on; nothing where there is none."""
        if len(content) > MAX_BYTES:
            logs.warning(log, "live settings not read, the former ones hold", reason=f"more than {MAX_BYTES} bytes")
            return
        try:
            found = msgspec.json.decode(content or b"{}", type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeError) as error:
            logs.warning(log, "live settings not read, the former ones hold", reason=str(error))
            return
        self._name_unknown(frozenset(found) - self._parts.keys())
        for name, part in self._parts.items():
            try:
                part.take(bytes(found.get(name, b"{}")))
            except msgspec.MsgspecError as error:
                logs.warning(log, "live settings not read, the former ones hold", part=name, reason=str(error))

    async def watch(self, file: Path) -> None:
        """Follow the file until cancelled."""
        watched = watching.Watched(file, most=MAX_BYTES + 1, take=self.take)
        while True:
            watched.look()
            await asyncio.sleep(_LOOK_SECONDS)

    def _name_unknown(self, unknown: frozenset[str]) -> None:
        if unknown - self._unknown:
            logs.info(log, "live settings of a later release are not followed", parts=sorted(unknown))
        self._unknown = unknown
