"""The evidence of a verdict as a file for `seatrial replay`: what was counted and what was tolerated.

Kept as a ConfigMap beside the rejected revision, compressed: an object may have 1 MiB. Replaying it gives the verdict.
"""

from __future__ import annotations

import base64
import gzip

import msgspec

from seatrial.analysis import slots
from seatrial.api import spec, values
from seatrial.rollout import looks

FILE = "replay.json.gz"
MAX_BYTES = 900_000


def render(seen: looks.Look, wish: spec.Spec) -> str:
    """Base64 of the compressed file. A history too long for an object is shortened from its old end."""
    history = seen.history
    while True:
        packed = gzip.compress(_document(seen, wish, history), mtime=0)
        if len(packed) <= MAX_BYTES or not history:
            return base64.b64encode(packed).decode()
        history = history[(len(history) + 1) // 2 :]


def _document(seen: looks.Look, wish: spec.Spec, history: tuple[slots.Slot, ...]) -> bytes:
    """Each step is judged with its part of the allowed rate; the file names that part."""
    rate = values.Ratio(seen.rate or wish.analysis.false_rollback_rate / max(1, len(wish.rollout.steps or ())))
    policy = msgspec.structs.replace(wish.analysis, false_rollback_rate=rate, prometheus=None)
    document = {"policy": policy, "history": history, "slots": seen.slots}
    own = {"own": seen.own} if seen.own else {}  # their answers aren't kept, what they came to is
    returned = {"cohorts": seen.cohorts, "rolloutRate": wish.analysis.false_rollback_rate} if seen.cohorts else {}
    return msgspec.json.encode({**document, **own, **returned}, enc_hook=values.encode_hook)
