"""The serving image of the wanted content where the spec names none: the one that it has, until a command refreshes it.

The content has the image of the candidate or of stable where those are that content (else an image that was taken back
would win by the age of its record), else of its newest record, else, when it is new, the operator's.
"""

from __future__ import annotations

import msgspec

from .facts import Snapshot
from .revision import Content

NEWER = (
    "take this operator's server image: annotate seatrial.dev/refresh-image, or change spec.serving.image if it is set"
)
"""What a user can do about pods that lack something which newer ones have."""


def asked(snapshot: Snapshot) -> Content:
    """The content that the spec asks for, with its image; the operator's after a new refresh-image token."""
    content = _in_use(snapshot)
    if not _token_is_new(snapshot) or why_not_refreshed(snapshot, content):
        return content
    return _with(content, snapshot.operator.serving_image)


def refreshing(snapshot: Snapshot) -> bool:
    """There is a new token, and the wanted content has, or got by it, the operator's image."""
    wanted, own = snapshot.wanted.content.image, snapshot.operator.serving_image
    return _token_is_new(snapshot) and snapshot.spec.serving.image is None and wanted == own


def why_not_refreshed(snapshot: Snapshot, content: Content) -> str:
    """Why the operator's image can't be taken for this content, in words; nothing where it can."""
    own = snapshot.operator.serving_image
    if snapshot.spec.serving.image is not None:
        return f"changes nothing: spec.serving.image names {snapshot.spec.serving.image}, which is to be changed there"
    if content.image == own:
        return f"changes nothing: the image is {own} already"
    mark = snapshot.standing(_with(content, own).revision)
    if mark is not None and mark.rejected:
        return f"changes nothing: this version was rejected with {own}: {mark.message}"
    return ""


def _token_is_new(snapshot: Snapshot) -> bool:
    token = snapshot.commands.refresh_image
    return bool(token) and token != snapshot.status.commands.refresh_image


def _in_use(snapshot: Snapshot) -> Content:
    content, now = snapshot.wanted.content, snapshot.status
    if snapshot.spec.serving.image is not None:
        return content
    images = [(one.revision, one.image) for one in (now.candidate, now.stable) if one is not None]
    aside = snapshot.records.get(now.set_back.instead_of) if now.set_back is not None else None
    if aside is not None:
        images.insert(0, (aside.revision, aside.content.image))
    found = (_with(content, image) for name, image in images if _with(content, image).revision == name)
    return next(found, content)


def _with(content: Content, image: str) -> Content:
    return msgspec.structs.replace(content, image=image)
