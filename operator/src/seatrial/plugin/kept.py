"""What the operator has kept of a rollback: the counts that its verdict rests on, in a ConfigMap of the revision."""

from __future__ import annotations

import base64
import binascii
import gzip
import io

import msgspec

from seatrial.analysis import judgement, recording, verdict
from seatrial.api.status import VerdictKind
from seatrial.plugin import view
from seatrial.plugin.connection import Connection

FILE = "replay.json.gz"
MAX_BYTES = 64_000_000  # unpacked; the operator writes at most a part of it


def course(seen: view.View, connected: Connection) -> tuple[judgement.Judgement, ...]:
    """The judgements slot by slot; none where nothing is kept, or it may not or can't be read."""
    found = seen.verdict
    if found is None or found.verdict is not VerdictKind.REJECTED:
        return ()
    kept = connected.optional("v1", "configmaps", f"{seen.name}-{found.revision}-evidence")
    packed = ((kept or {}).get("binaryData") or {}).get(FILE, "")
    return _read(packed) if packed else ()


def _read(packed: str) -> tuple[judgement.Judgement, ...]:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(base64.b64decode(packed))) as file:
            found = recording.read(file.read(MAX_BYTES))
        return tuple(verdict.judge_each(found.slots, found.allowed, history=found.history))
    except (OSError, EOFError, binascii.Error, ValueError, msgspec.DecodeError):
        return ()
