"""One object, checked as the API server would: the schema, then its rules; then advice on what is allowed."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from seatrial import api
from seatrial.api import schema as resource
from seatrial.api import values
from seatrial.api.spec import Spec
from seatrial.plugin.linting import advice, bounds, cel


class Level(enum.StrEnum):
    ERROR = "error"  # the API server refuses the object
    ADVICE = "advice"  # it is allowed, and probably not what was meant


class Finding(msgspec.Struct, frozen=True):
    """One finding about one object."""

    level: Level
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def concerns(document: dict[str, Any]) -> bool:
    """It is a ModelDeployment, of whatever version."""
    group = str(document.get("apiVersion", "")).partition("/")[0]
    return document.get("kind") == api.KIND and group in (api.GROUP, "")


def check(document: dict[str, Any], *, rate: float | None) -> list[Finding]:
    """Everything that is wrong with it; advice only where nothing is.

    Args:
        rate: requests a second that are expected, for the advice that depends on it; None: unknown.
    """
    if document.get("apiVersion") != api.API_VERSION:
        said = f"must be {api.API_VERSION}, not {document.get('apiVersion')!r}"
        return [Finding(Level.ERROR, "apiVersion", said)]
    whole = bounds.filled(resource.model_deployment(), {**document, "status": {}})
    broken = bounds.findings(whole)
    if not any(one.blocking for one in broken):
        broken += cel.findings(whole)
    if broken:
        return [Finding(Level.ERROR, one.path, one.message.removeprefix(f"{one.path} ")) for one in broken]
    wish = msgspec.convert(whole["spec"], Spec, dec_hook=values.decode_hook)
    return [Finding(Level.ADVICE, path, message) for path, message in advice.about(wish, rate=rate)]
