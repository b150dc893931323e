"""Which assignment is in force: the one in the file, as long as its lease holds and nothing about it is odd."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from seatrial_server.host import logs, watching
from seatrial_server.observe import relayed
from seatrial_server.relay import assignment

log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.1


class Own(msgspec.Struct, frozen=True):
    """Who this pod is; `deployment` is `namespace/name`."""

    deployment: str
    revision: str


class Following:
    """Tells `changed` what is in force from now on; None: every request is answered here."""

    def __init__(
        self,
        own: Own,
        counts: relayed.Relayed,
        *,
        now: Callable[[], float],
        changed: Callable[[assignment.Assignment | None], None],
    ) -> None:
        self._own, self._counts, self._now, self._changed = own, counts, now, changed
        self._assigned: assignment.Assignment | None = None
        self._ends = 0.0
        self._refusal = ""

    def held(self) -> bool:
        """Whether the lease of what is in force still holds: asked at each choice, whatever the timers do."""
        return self._now() < self._ends

    def take(self, text: bytes) -> None:
        """What the annotation says from now on."""
        try:
            found = assignment.read(text, deployment=self._own.deployment, revision=self._own.revision, now=self._now())
            if found is not None and self._now() >= found.ends():
                raise assignment.Odd("its lease has ended")
        except assignment.Odd as odd:
            self._refuse(str(odd))
            return
        self._refusal = ""
        if found is None:
            self.keep_all()
        else:
            self._assign(found)

    def end_lease(self) -> None:
        """Keep everything once the lease is over."""
        if self._assigned is not None and not self.held():
            self._refuse("its lease has ended")

    def keep_all(self) -> None:
        """Follow nothing any more."""
        if self._assigned is not None:
            logs.info(log, "relaying ended", candidate=self._assigned.revision)
        self._assigned, self._ends = None, 0.0
        self._counts.keep_all()
        self._changed(None)

    async def watch(self, file: Path) -> None:
        """Follow the assignment in the file until cancelled."""
        watched = watching.Watched(file, most=assignment.MAX_BYTES + 1, take=self.take)
        while True:
            watched.look()
            self.end_lease()
            await asyncio.sleep(_LOOK_SECONDS)

    def _assign(self, found: assignment.Assignment) -> None:
        before, self._assigned, self._ends = self._assigned, found, found.ends()
        self._counts.follow(found.revision, found.weight / 100 if found.to else 0.0)
        self._changed(found)
        if before is None or msgspec.structs.replace(before, until=found.until) != found:
            logs.info(log, "relaying", candidate=found.revision, weight=found.weight, targets=len(found.to))

    def _refuse(self, why: str) -> None:
        self.keep_all()
        if why != self._refusal:
            self._refusal = why
            self._counts.refused += 1
            logs.warning(log, "assignment not followed, every request is answered here", reason=why)
