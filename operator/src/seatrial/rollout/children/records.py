"""ControllerRevisions: a revision's record. Its data says how the pods are made and never changes; the notes do.

Notes are written again whenever they differ from what status implies, so an operator that died between the two goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from seatrial.api import placement, spec, status, values
from seatrial.rollout import artifacts, facts, metadata, names, notes, revision, standing, templates

from . import configmaps

Object = dict[str, Any]


def new(
    name: str,
    *,
    content: revision.Content,
    wish: spec.Spec,
    known: Mapping[str, revision.Record],
    defaults: placement.Placement = templates.NO_DEFAULTS,
) -> revision.Record:
    """The record of the wanted content: the one on file, at the spec's address; else a new one with the next number.

    Another address of the same bytes changes the pods only where they need another Secret or claim to get there.
    """
    on_file, artifact = known.get(content.revision), artifacts.Artifact(wish.model.uri, wish.model.secret)
    if on_file is None:
        return revision.Record(
            content=content,
            uri=artifact.uri,
            secret=artifact.secret,
            pod_template=templates.server(name, content, artifact=artifact, defaults=defaults),
            number=1 + max((record.number for record in known.values()), default=0),
        )
    same_way = artifacts.Artifact(on_file.uri, on_file.secret).way == artifact.way
    if same_way:
        return msgspec.structs.replace(on_file, uri=artifact.uri, secret=artifact.secret)
    template = templates.server(name, content, artifact=artifact, defaults=defaults)
    return msgspec.structs.replace(on_file, uri=artifact.uri, secret=artifact.secret, pod_template=template)


def noted(snapshot: facts.Snapshot, after: status.Status, of: str) -> Iterator[Object]:
    """The revision's record with its notes, where they aren't so already. A lost record of a version that isn't wanted
    is not made up.
    """
    existing = snapshot.child("ControllerRevision", names.of_revision(snapshot.owner.name, of))
    wanted = of == snapshot.wanted.revision
    if existing is None and not wanted:
        return
    data, number = (
        _data(snapshot.wanted) if existing is None else (existing.get("data") or {}, existing.get("revision", 0))
    )
    notes_now = _notes(snapshot, after, of, data)
    if existing is not None and notes_now == snapshot.notes.get(of, notes.Notes()):
        return
    owner = snapshot.owner
    meta = metadata.of(owner, names.of_revision(owner.name, of), of)
    yield {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {**meta, "annotations": {notes.ANNOTATION: notes.render(notes_now)}},
        "revision": number,
        "data": data,
    }


def others(snapshot: facts.Snapshot, after: status.Status, done: Collection[str]) -> Iterator[Object]:
    """Records of revisions without pods: one on trial, and those whose standing has changed."""
    in_use = {after.candidate.revision} if after.candidate is not None else set()
    for name in sorted({*snapshot.records, *in_use} - set(done)):
        yield from noted(snapshot, after, name)


def marks(snapshot: facts.Snapshot, after: status.Status) -> Mapping[str, standing.Mark]:
    """The standing of every revision on record, after this pass."""
    kept = {name: own.mark for name, own in snapshot.notes.items() if own.mark is not None}
    found = {name: standing.of(name, marks=kept, verdicts=after.verdicts) for name in snapshot.known}
    return {name: mark for name, mark in found.items() if mark is not None}


def _notes(snapshot: facts.Snapshot, after: status.Status, of: str, data: Mapping[str, Any]) -> notes.Notes:
    before = snapshot.notes.get(of, notes.Notes())
    now = msgspec.structs.replace(before, mark=marks(snapshot, after).get(of))
    if not before.passed:
        now = msgspec.structs.replace(now, passed=_passed(snapshot, of))
    if of != snapshot.wanted.revision or snapshot.unreadable:
        return now
    wanted = snapshot.wanted
    moved = wanted.address != (data.get("uri"), data.get("secret"))
    address = notes.Address(uri=wanted.uri, secret=wanted.secret, pod_template=wanted.pod_template) if moved else None
    last = notes.last_spec(snapshot.own_spec, generation=snapshot.owner.generation)
    return msgspec.structs.replace(now, spec=last, address=address)


def _passed(snapshot: facts.Snapshot, of: str) -> str:
    """What its ConfigMap holds or will hold, so that it can be made again."""
    config_map = snapshot.child("ConfigMap", names.of_revision(snapshot.owner.name, of))
    files = config_map.get("data") if config_map is not None else configmaps.files_of(snapshot, of)
    return notes.pack(files) if files else ""


def _data(record: revision.Record) -> tuple[Object, int]:
    data = msgspec.to_builtins(record, enc_hook=values.encode_hook)
    return data, data.pop("number")
