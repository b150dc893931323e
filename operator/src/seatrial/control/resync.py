"""Everything read anew now and then: at the start to fill the memory, later to find what the watch has missed.

A watch that had to begin anew doesn't tell what was deleted meanwhile; a full list does. Then every object is looked
at, whatever the watch says. Requests are paced: a resync of a large cluster must not be felt by anybody else.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence

from seatrial import api
from seatrial.cluster import access, errors, store, trimming
from seatrial.control import queue, waking

_LOG = logging.getLogger(__name__)

SECONDS = 600.0
SETTLED_SECONDS = 60.0  # after the first time: a deletion between that list and the watch's own would be missed
RETRY_SECONDS = 15.0
SPREAD_SECONDS = 60.0  # looks after a resync are spread over this time
PAGE_SECONDS = 0.1  # between two pages, except the first time


class Resync:
    """Fills the store and keeps it true.

    Args:
        cluster: reads are live.
        woken: what the lists have shown to be different.
        namespaces: none is the whole cluster.
    """

    def __init__(
        self,
        cluster: access.Cluster,
        seen: store.Store,
        *,
        queue: queue.Queue,
        woken: Callable[[store.Change], None],
        namespaces: Sequence[str],
        rng: random.Random,
    ) -> None:
        self._cluster = cluster.live
        self._seen = seen
        self._queue = queue
        self._woken = woken
        self._namespaces: Sequence[str | None] = namespaces or (None,)
        self._rng = rng
        self._bell = asyncio.Event()
        self._refused: set[str | None] = set()
        self.at = time.monotonic()

    def soon(self) -> None:
        """The watch had to begin anew: what it may have missed is looked for."""
        self._bell.set()

    async def once(self) -> None:
        """The first time: as fast as possible, and every object is looked at.

        Raises:
            ClusterError: it has to be tried again, or for Refused and NotFound: in vain.
        """
        await self._all(pause=0.0, spread=0.0)

    async def run(self, *, filled: bool) -> None:
        """Repeats it until cancelled."""
        pause = SETTLED_SECONDS if filled else RETRY_SECONDS
        while True:
            await self._pause(pause * self._rng.uniform(0.9, 1.1))
            try:
                await self._all(pause=PAGE_SECONDS, spread=SPREAD_SECONDS)
                pause = RETRY_SECONDS if self._refused else SECONDS
            except errors.Unavailable as error:
                _LOG.warning("resync failed", extra={"error": str(error)})
                pause = RETRY_SECONDS

    async def _pause(self, seconds: float) -> None:
        self._bell.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._bell.wait()
                await asyncio.sleep(PAGE_SECONDS)  # a watch that begins anew lists many objects
        except TimeoutError:
            return

    async def _all(self, *, pause: float, spread: float) -> None:
        for namespace in self._namespaces:
            try:
                await self._read(namespace, pause=pause)
            except errors.Refused as error:
                if namespace is None:
                    raise
                self._refuse(namespace, error)
                continue
            self._refused.discard(namespace)
            for key in self._seen.versions(api.KIND, namespace):
                self._queue.add(queue.Key(*key), after=self._rng.uniform(0, spread))
        self.at = time.monotonic()

    async def _read(self, namespace: str | None, *, pause: float) -> None:
        for kind in sorted(trimming.KINDS):
            before, listed = self._seen.versions(kind, namespace), set()
            async for page in self._cluster.pages(kind, namespace, waking.labels(kind)):
                for item in page:
                    listed.add((item["metadata"]["namespace"], item["metadata"]["name"]))
                    self._tell(self._seen.put(kind, item))
                await asyncio.sleep(pause)
            for change in self._seen.sweep(kind, before, listed):
                self._tell(change)
        self._seen.completed(namespace)

    def _tell(self, change: store.Change | None) -> None:
        if change is not None:
            self._woken(change)

    def _refuse(self, namespace: str | None, error: errors.Refused) -> None:
        """A namespace that is gone, or whose Role is: the others are not concerned."""
        self._seen.lost(namespace)
        if namespace not in self._refused:
            _LOG.warning("namespace not served", extra={"namespace": namespace, "error": str(error)})
        self._refused.add(namespace)
