"""Which serving images a spec may name: those of the operator's own repository, and those that its settings list.

Whoever may create a ModelDeployment would otherwise run any image with the store's credentials. Pure; images are
compared as text, so an entry has to be written as the spec writes it (`docker.io/team` doesn't allow `team/serving`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_HOST = r"(?:[a-zA-Z0-9](?:[-a-zA-Z0-9.]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
_REPOSITORY = re.compile(rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*")
_ENTRY = re.compile(rf"(?:{_HOST}|(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*)/?")
_IMAGE = re.compile(rf"({_REPOSITORY.pattern})(?::[A-Za-z0-9_][-A-Za-z0-9_.]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?")


def repository(image: str) -> str:
    """Registry and path of an image, without tag and digest; nothing when the text is no image."""
    parts = _IMAGE.fullmatch(image)
    return parts[1] if parts else ""


def is_entry(text: str) -> bool:
    """Whether the text can be an entry of the list: a registry, a repository, or what repositories begin with."""
    return _ENTRY.fullmatch(text) is not None


def refusal(image: str | None, *, own: str, allow: Iterable[str]) -> str:
    """Why the spec may not name this image; nothing when it may.

    Args:
        own: the operator's serving image; its repository is always allowed.
        allow: registries (`registry.example.com`) and repositories (`registry.example.com/team`); each allows what is
            below it as well.
    """
    entries = [one for one in (repository(own), *allow) if one]
    if image is None or image == own or any(_within(repository(image), entry) for entry in entries):
        return ""
    return (
        f"spec.serving.image {image!r} is not allowed: it must be from {' or '.join(entries) or own}, which the "
        "operator's --serving-image-allow (SEATRIAL_SERVING_IMAGE_ALLOW) lists; leave it out to get the operator's own"
    )


def _within(found: str, entry: str) -> bool:
    """A name without a registry stands for itself alone: `serving/other` has another owner than `serving`."""
    whole = entry.rstrip("/")
    named = "/" in entry or re.search(r"[.:]|^localhost$", whole) is not None
    return found == whole or (named and found.startswith(f"{whole}/"))
