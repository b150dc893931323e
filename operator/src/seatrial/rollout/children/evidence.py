"""What a verdict rests on, as a ConfigMap for `seatrial replay`. It belongs to its revision's record and goes with it.

Without the label that the operator lists children by: nobody needs it in every pass.
"""

from __future__ import annotations

from typing import Any

from seatrial.rollout import facts, looks, metadata, names, recording

Object = dict[str, Any]


def of(snapshot: facts.Snapshot, revision: str, seen: looks.Look) -> Object:
    """The replay file of a look; owned by the object itself where somebody has deleted the record."""
    owner = snapshot.owner
    name = names.of_revision(owner.name, revision)
    record = snapshot.child("ControllerRevision", name)
    owners = metadata.of(owner, name)["ownerReferences"]
    if record is not None:
        uid = record["metadata"]["uid"]
        owners = [{"apiVersion": "apps/v1", "kind": "ControllerRevision", "name": name, "uid": uid}]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.of_evidence(owner.name, revision),
            "namespace": owner.namespace,
            "labels": {names.MANAGED_BY: names.MANAGER, names.REVISION: revision},
            "ownerReferences": owners,
        },
        "binaryData": {recording.FILE: recording.render(seen, snapshot.spec)},
    }
