"""Which revision answers a request. Pure.

Each request by itself, so that both revisions get the same traffic but for chance, and the share does not depend on how
many pods there are. With a sticky header the value decides: who has been moved stays moved while the weight grows, on
every pod alike. Testers may name a revision, where they are allowed to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

_SCALE = 2.0**64


def moves(weight: float, *, value: bytes | None, draw: Callable[[], float]) -> bool:
    """Whether the candidate answers; `weight` in percent, `value` is the sticky header's, `draw` gives [0, 1)."""
    return 100.0 * (draw() if value is None else place(value)) < weight


def named(value: bytes | None, *, candidate: str, own: str) -> bool | None:
    """Whether the candidate answers a request that names a revision; None for one that names neither of the two."""
    if value is None or value not in (candidate.encode(), own.encode()):
        return None
    return value == candidate.encode()


def place(value: bytes) -> float:
    """Where a value stands in [0, 1): evenly spread, the same in every process."""
    return int.from_bytes(hashlib.blake2b(value, digest_size=8).digest(), "big") / _SCALE
