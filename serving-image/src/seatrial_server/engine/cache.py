"""Answers that are given again without running the model. Off unless `cache` is configured.

An answer belongs to the served bytes and to the request's tensors, bit for bit after conversion: no header, id or
spelling of a number makes a difference, and no two models share one. All outputs are kept, so which of them a request
asks for does not matter. Equal requests that arrive while the first is running wait for its answer. Errors and degraded
answers are never kept. Belongs to the event loop.
"""

from __future__ import annotations

import collections
import hashlib
import time
from collections.abc import Callable

import msgspec
import numpy as np

from seatrial_server.engine import inference, jobs
from seatrial_server.host import config, errors
from seatrial_server.model import session
from seatrial_server.observe import telemetry

_OVERHEAD = 256
"""Bytes that an entry costs beside its values."""


class _Entry(msgspec.Struct, frozen=True):
    outputs: jobs.Outputs
    size: int
    expires: float


class Cache:
    """Stands in front of a queue; forgets the least recently used first."""

    def __init__(
        self,
        queue: jobs.Queue,
        engine: inference.Engine,
        *,
        settings: config.Cache,
        served_sha256: str,
        counters: telemetry.Telemetry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue, self._engine, self._settings, self._counters = queue, engine, settings, counters
        self._prefix, self._clock = bytes.fromhex(served_sha256), clock
        self._entries: collections.OrderedDict[bytes, _Entry] = collections.OrderedDict()
        self._flights: dict[bytes, list[jobs.Job]] = {}

    def submit(self, job: jobs.Job) -> None:
        """See `jobs.Queue`."""
        self._engine.convert(job)
        key = self._key(job)
        entry = self._fresh(key)
        followers = self._flights.get(key)
        if entry is not None:
            self._counters.cache["hit"] += 1
            self._engine.repeated(job, entry.outputs)
            job.finish(entry.outputs)
        elif followers is not None and not job.timeout:
            self._counters.cache["shared"] += 1
            followers.append(job)
        elif followers is not None:  # its own deadline may pass before the leader's
            self._counters.cache["miss"] += 1
            self._queue.submit(job)
        else:
            self._counters.cache["miss"] += 1
            self._lead(key, job)

    def _lead(self, key: bytes, job: jobs.Job) -> None:
        done = job.done
        self._flights[key] = []
        job.done = lambda job, result: self._landed(key, job, result, done)
        try:
            self._queue.submit(job)
        except errors.RequestError:
            del self._flights[key]
            job.done = done
            raise

    def _landed(
        self,
        key: bytes,
        leader: jobs.Job,
        result: jobs.Outputs | errors.RequestError,
        done: Callable[[jobs.Job, jobs.Outputs | errors.RequestError], None],
    ) -> None:
        followers = self._flights.pop(key)
        if isinstance(result, errors.RequestError):
            done(leader, result)
            for job in followers:
                self._alone(job)
            return
        if not leader.degraded:
            self._keep(key, result)
        done(leader, result)
        for job in followers:
            job.degraded = leader.degraded
            self._engine.repeated(job, result)
            job.finish(result)

    def _alone(self, job: jobs.Job) -> None:
        """An error is about one request (its deadline, its place in the queue): each other one gets a try."""
        try:
            self._queue.submit(job)
        except errors.RequestError as error:
            job.finish(error)

    def _fresh(self, key: bytes) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._clock() >= entry.expires:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def _keep(self, key: bytes, outputs: jobs.Outputs) -> None:
        kept = [array.copy() for array in outputs]  # a slice would keep the whole batch alive
        size = _OVERHEAD + sum(map(_size, kept))
        if size > self._settings.max_bytes:
            return
        self._entries[key] = _Entry(outputs=kept, size=size, expires=self._clock() + self._settings.ttl_seconds)
        self._counters.cache_bytes += size
        while self._counters.cache_bytes > self._settings.max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: bytes) -> None:
        self._counters.cache_bytes -= self._entries.pop(key).size

    def _key(self, job: jobs.Job) -> bytes:
        parts = [_bytes(np.asarray(values)) for values in job.values]
        return hashlib.sha256(b"%b%a" % (self._prefix, job.shapes) + b"".join(parts)).digest()


def _bytes(array: session.Array) -> bytes:
    if array.dtype != np.object_:
        return array.tobytes()
    parts = ["" if value is None else value for value in array.reshape(-1)]
    encoded = [value.encode() if isinstance(value, str) else bytes(value) for value in parts]
    marks = ",".join("-" if value is None else str(len(part)) for value, part in zip(array.flat, encoded, strict=True))
    return marks.encode() + b";" + b"".join(encoded)


def _size(array: session.Array) -> int:
    if array.dtype != np.object_:
        return array.nbytes
    return array.nbytes + sum(len(value) * 4 + 60 for value in array.reshape(-1))
