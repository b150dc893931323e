"""When an object is looked at: its hours begin at a minute of their own, so that many objects are spread over the hour.

Hours are counted from the epoch, an object's 24 of them are its day. Times are seconds of the API server's clock.
"""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import UTC as UTC

HOUR = 3600
SETTLE = 1 / 40
"""Of an hour after its end (90 s), until it is asked for: stores behind Prometheus lag."""


@dataclasses.dataclass(frozen=True)
class Hours:
    """The hours of one object: `seconds` long, beginning `offset` seconds after those of the epoch."""

    offset: int
    seconds: int = HOUR

    @classmethod
    def of(cls, uid: str, seconds: int = HOUR) -> Hours:
        digest = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:8], "big")
        return cls(digest % seconds, seconds)

    def newest(self, now: float) -> int:
        """The last hour that is over, and settled."""
        return int((now - self.offset - self.settle) // self.seconds) - 1

    def begin(self, hour: int) -> int:
        return hour * self.seconds + self.offset

    def end(self, hour: int) -> int:
        return self.begin(hour + 1)

    def due_in(self, now: float) -> float:
        """Seconds until another hour can be asked for."""
        return self.end(self.newest(now) + 1) + self.settle - now

    @property
    def settle(self) -> float:
        return self.seconds * SETTLE
