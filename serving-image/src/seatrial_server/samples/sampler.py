"""Which requests are sampled, and what waits to be sent. Belongs to the event loop.

The request's id decides by its hash, so that both versions of a canary, and whoever has the id, choose the same ones.
What waits is bounded: the oldest gives way, and is counted. Nothing here ever makes a request wait.
"""

from __future__ import annotations

import collections
import hashlib
import time
from typing import Annotated

import msgspec

from seatrial_server.engine import jobs
from seatrial_server.model import session
from seatrial_server.observe import telemetry

MOST_BYTES = 1024 * 1024
BATCH_BYTES = 256 * 1024
BATCH = 100
"""Samples of one request to the sink at most."""
_OVERHEAD = 512
_WHOLE = 2**64


class Settings(msgspec.Struct, frozen=True):
    """The live settings' part `samples`: off unless both are given."""

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    sink: Annotated[str, msgspec.Meta(pattern=r"^(https?://[^\s?#@]+)?$", max_length=512)] = ""


class Sample(msgspec.Struct, frozen=True, eq=False):
    """One answered request: its tensors as they were given, and what was answered."""

    id: str
    at: float
    values: list[jobs.Values]
    shapes: list[tuple[int, ...]]
    outputs: list[session.Array]
    degraded: str
    size: int


class Sampler:
    """`on` is what the way of a request asks, and all that it costs when nothing is sampled."""

    def __init__(self, counters: telemetry.Telemetry) -> None:
        self.on = False
        self.settings = Settings()
        self._counters, self._threshold = counters, 0
        self._waiting: collections.deque[Sample] = collections.deque()
        self._bytes = 0

    def follow(self, settings: Settings) -> None:
        """What holds from now on; what waits for another sink is dropped."""
        if settings.sink != self.settings.sink:
            self._counters.samples["dropped"] += len(self._waiting)
            self._waiting.clear()
            self._bytes = 0
        self.settings, self._threshold = settings, int(settings.share * _WHOLE)
        self.on = bool(settings.sink) and settings.share > 0

    def chooses(self, request_id: str) -> bool:
        """Whether a request with this id is one of the share."""
        digest = hashlib.blake2b(request_id.encode(errors="replace"), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self._threshold

    def offer(self, job: jobs.Job, outputs: jobs.Outputs) -> None:
        """Keep a request's values and answer, if it is one of the share, until they are sent."""
        if not self.chooses(job.id):
            return
        size = jobs.size(job.values) + jobs.answer_size(outputs) + _OVERHEAD
        if size > MOST_BYTES:
            self._counters.samples["dropped"] += 1
            return
        while self._bytes + size > MOST_BYTES:
            self._bytes -= self._waiting.popleft().size
            self._counters.samples["dropped"] += 1
        kept = Sample(
            id=job.id,
            at=time.time(),
            values=job.values,
            shapes=job.shapes,
            outputs=[array.copy() for array in outputs],  # a batch must not stay in memory for one of its rows
            degraded=job.degraded,
            size=size,
        )
        self._waiting.append(kept)
        self._bytes += size

    def batch(self) -> list[Sample]:
        """The oldest, as many as one request to the sink may have; they are the caller's now."""
        taken: list[Sample] = []
        size = 0
        while self._waiting and len(taken) < BATCH and size < BATCH_BYTES:
            one = self._waiting.popleft()
            size += one.size
            taken.append(one)
        self._bytes -= size
        return taken
