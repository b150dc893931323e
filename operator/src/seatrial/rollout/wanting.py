"""Which revision is wanted: what the spec asks for, unless a command has set it aside or asked for another image.

`.spec` belongs to the user and is never written. What a command changed is a fact of status, and holds as long as it is
about what the spec asks for: another wish is a rollout like any other.
"""

from __future__ import annotations

import msgspec

from . import children, images
from .facts import Snapshot


def settled(snapshot: Snapshot) -> Snapshot:
    """The snapshot with the revision that is wanted, and without a set-back that is no longer about anything."""
    snapshot = _asked(snapshot)
    back = snapshot.status.set_back
    if back is None:
        return snapshot
    aside = snapshot.standing(back.instead_of)
    if back.instead_of != snapshot.wanted.revision or aside is None or not aside.rejected:
        return msgspec.structs.replace(snapshot, status=msgspec.structs.replace(snapshot.status, set_back=None))
    stable, named = snapshot.status.stable, snapshot.standing(back.revision)
    serves = stable is not None and stable.revision == back.revision
    if serves or named is None or not named.trusted or back.revision not in snapshot.records:
        return snapshot
    return msgspec.structs.replace(snapshot, wanted=snapshot.records[back.revision])


def _asked(snapshot: Snapshot) -> Snapshot:
    content = images.asked(snapshot)
    if content == snapshot.wanted.content:
        return snapshot
    made = children.new_record(
        snapshot.owner.name,
        content=content,
        wish=snapshot.spec,
        known=snapshot.records,
        defaults=snapshot.operator.pods,
    )
    return msgspec.structs.replace(snapshot, wanted=made)
