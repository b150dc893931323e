"""The memory that everything buffered for clients may take together: one account for the whole process.

Bodies that arrive, what they unpack to, rows that wait for the model, answers that wait for their client. Whoever
buffers something takes its bytes first, and refuses the request when they are not to be had; so the sum is bounded
whatever clients do at once. Small things are not worth the accounting: they are bounded by the number of connections
and of queued rows.
"""

from __future__ import annotations

import threading

from seatrial_server.host import memory

SMALL = 16 * 1024
"""Bytes from which on something is accounted."""
_MIB = 1024 * 1024
_SHARE = 4
_LEAST, _MOST = 128 * _MIB, 1024 * _MIB


class Budget:
    """Bytes to take and to give back, from the event loop and from threads."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = 0
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Whether they were there; then they are the caller's to give back."""
        with self._lock:
            if self.used + count > self.size:
                return False
            self.used += count
            return True

    def give(self, count: int) -> None:
        """What was taken."""
        with self._lock:
            self.used -= count


def of_process(*, max_body_bytes: int) -> Budget:
    """A quarter of the container's memory, but room for one body of the greatest size, as it came and as values."""
    allowed = memory.limit()
    size = _MOST // 2 if allowed is None else min(_MOST, max(_LEAST, allowed // _SHARE))
    return Budget(max(size, 3 * max_body_bytes + _MIB))
