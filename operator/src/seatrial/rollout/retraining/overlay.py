"""The wanted version: a trained one in place of `spec.model`, as long as that is what the run began with.

    wanted = trained.next (on its way), else trained.current (promoted), else spec.model

Anybody who changes spec.model, in Git or by hand, has that at once: a trained version never outlives it. The unfollow
command does the same without a change. Settled once, before any rule is asked; rules see a spec whose model is the
wanted one, and need not know where it is from.
"""

from __future__ import annotations

import hashlib

import msgspec

from seatrial.api import spec, trained
from seatrial.api.status import VerdictKind
from seatrial.api.values import Label
from seatrial.rollout import children, facts, revision


def base_of(model: spec.Model) -> trained.TrainedBase:
    """What trained versions take the place of: the whole of spec.model."""
    return trained.TrainedBase(
        uri=model.uri,
        sha256=model.sha256,
        version=str(model.version or ""),
        name=model.name or "",
        secret=model.secret or "",
    )


def digest_of(base: trained.TrainedBase) -> str:
    """Short, to be kept with each run."""
    return hashlib.sha256(msgspec.json.encode(base, order="sorted")).hexdigest()[:16]


def asked_for(snapshot: facts.Snapshot) -> spec.Model:
    """What the object itself says, whatever is wanted in its place."""
    return snapshot.replaced.model if snapshot.replaced is not None else snapshot.spec.model


def settled(snapshot: facts.Snapshot) -> facts.Snapshot:
    """The snapshot with a spec that wants the trained version, and a status without one that counts no more."""
    known = snapshot.status.trained
    if known is None:
        return snapshot
    status, known = snapshot.status, _counting(snapshot, known)
    if unfollowed(snapshot):  # something comes of the token
        commands = msgspec.structs.replace(status.commands, unfollow=snapshot.commands.unfollow)
        status = msgspec.structs.replace(status, commands=commands)
    snapshot = msgspec.structs.replace(snapshot, status=msgspec.structs.replace(status, trained=known))
    chosen = (known.next or known.current) if known is not None else None
    return snapshot if chosen is None else _wanting(snapshot, chosen)


def _counting(snapshot: facts.Snapshot, known: trained.Trained) -> trained.Trained | None:
    if known.base != base_of(snapshot.spec.model) or unfollowed(snapshot):
        return None
    if known.next is not None and refused(snapshot, known.next):
        known = msgspec.structs.replace(known, next=None)
    return known if known.next or known.current or known.offered else None


def unfollowed(snapshot: facts.Snapshot) -> bool:
    """There is a new unfollow token."""
    token = snapshot.commands.unfollow
    return bool(token) and token != snapshot.status.commands.unfollow


def refused(snapshot: facts.Snapshot, model: trained.TrainedModel) -> bool:
    """Its revision is rejected. One that the rollback-to command has set aside stays wanted, as any other would."""
    revision_ = _with(snapshot, model).wanted.revision
    back, mark = snapshot.status.set_back, snapshot.standing(revision_)
    return mark is not None and mark.rejected and (back is None or back.instead_of != revision_)


def _wanting(snapshot: facts.Snapshot, model: trained.TrainedModel) -> facts.Snapshot:
    return msgspec.structs.replace(
        _with(snapshot, model), replaced=facts.Replaced(model=snapshot.spec.model, revision=snapshot.wanted.revision)
    )


def _with(snapshot: facts.Snapshot, model: trained.TrainedModel) -> facts.Snapshot:
    own = msgspec.structs.replace(
        snapshot.spec.model, uri=model.uri, sha256=model.sha256, version=_label(model.version)
    )
    wish = msgspec.structs.replace(snapshot.spec, model=own)
    owner, records = snapshot.owner, snapshot.records
    content = revision.wanted(
        wish, name=owner.name, default_image=snapshot.operator.serving_image, known=records.values()
    )
    wanted = children.new_record(owner.name, content=content, wish=wish, known=records)
    return msgspec.structs.replace(snapshot, spec=wish, wanted=wanted)


def _label(text: str) -> Label | None:
    """Without one, the digest names the version: a status that was edited by hand stops nothing."""
    try:
        return Label.parse(text)
    except ValueError:
        return None


def known_digest(snapshot: facts.Snapshot, sha256: str) -> str:
    """What is known of these bytes already, in words; "" for new ones."""
    stable = snapshot.status.stable
    if stable is not None and stable.sha256 == sha256:
        return f"version {stable.model_version}, which serves, has the same bytes"
    if asked_for(snapshot).sha256 == sha256:
        return "spec.model has the same bytes"
    for one in snapshot.records.values():
        mark = snapshot.standing(one.revision)
        if one.content.sha256 == sha256 and mark is not None:
            word = "rejected" if mark.rejected else "promoted" if mark.trusted else "tried"
            return f"version {one.content.model_version} had the same bytes and was {word}"
    for verdict in snapshot.status.verdicts:
        if verdict.sha256 == sha256 and verdict.verdict is VerdictKind.REJECTED:
            return f"version {verdict.model_version} had the same bytes and was rejected"
    return ""
