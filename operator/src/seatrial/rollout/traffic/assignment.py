"""What a stable pod is told to pass on: the text of its annotation, which its server reads as a file."""

from __future__ import annotations

import base64
import functools
import hashlib
from datetime import UTC, datetime, timedelta

import msgspec

from seatrial.rollout import facts

LEASE = timedelta(minutes=2)
TOLERANCE = timedelta(seconds=30)  # for which a pod follows an assignment beyond its end, by its own clock
MOST_TARGETS = 256


class Assignment(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    """What a pod is told, in the form that the serving image reads. `until` as RFC 3339, `cover_after` in seconds."""

    deployment: str
    revision: str
    to: tuple[str, ...]
    weight: float
    until: str = ""
    token: str
    shadow: float | None = None
    sticky: str | None = None
    tls: bool = False
    cover: bool = True
    cover_after: float | None = None
    trust_client_choice: bool = False


def token(owner: facts.Owner) -> str:
    """What a deployment's pods know each other by: nobody without access to the cluster's API knows the uid."""
    digest = hashlib.sha256(f"seatrial relay {owner.uid}".encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def renewed(text: str, asked: Assignment, now: datetime, *, unheard: bool = False) -> str:
    """The text as it is while it says what is asked and more than half of the lease is left; else a new one, as for a
    pod that has not heard.
    """
    said = read(text)
    if said is not None and not unheard and msgspec.structs.replace(said, until="") == asked:
        until = moment(said.until)
        if until is not None and LEASE / 2 < until - now <= LEASE + timedelta(seconds=1):
            return text
    until = now.astimezone(UTC).replace(microsecond=0) + LEASE
    written = msgspec.structs.replace(asked, until=until.isoformat().replace("+00:00", "Z"))
    return msgspec.json.encode(written).decode()


@functools.lru_cache(maxsize=64)  # all pods of a rollout are told the same
def read(text: str) -> Assignment | None:
    """None for what isn't ours, whoever wrote it: pods don't follow that either."""
    try:
        return msgspec.json.decode(text, type=Assignment)
    except msgspec.MsgspecError:
        return None


def written(said: Assignment) -> datetime | None:
    """When this text was made, to the second."""
    until = moment(said.until)
    return until - LEASE if until is not None else None


def moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
