"""The card of a version: of what lies in a work folder, or beside a pod's configuration.

A pod's ConfigMap holds the report of the trial that the revision has passed, so the numbers need nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from seatrial_server.artifact import package
from seatrial_server.cards import facts, recorded
from seatrial_server.host import config, sandbox
from seatrial_server.model import manifest, schema


def of_folder(settings: config.Config, work: Path, *, told: str = "") -> facts.Facts:
    """Of what `fetch` and `prepare` left; `told` is the trial's output, if there was one.

    A package that is refused has a card all the same: it says why.
    """
    trial = recorded.reported(told)
    if (work / "prepared" / manifest.FILE).is_file():
        made = manifest.read(work / "prepared")
        return facts.of(settings.model, made.card, trial=trial, tensors=made.model)
    said = sandbox.call("seatrial_server.cards.making:said", {"package_folder": str(work / "package")})
    return facts.of(settings.model, msgspec.convert(said, schema.Card), trial=trial)


def said(*, package_folder: str) -> dict[str, Any]:
    """model.yaml, in the sandbox."""
    plain: dict[str, Any] = msgspec.to_builtins(package.card(Path(package_folder)))
    return plain


def of_served(model: config.ModelRef, card: schema.Card, tensors: schema.Schema, *, beside: Path | None) -> facts.Facts:
    """Of the model that serves. `beside`: the report in the pod's ConfigMap."""
    told = ""
    if beside is not None and beside.is_file():
        told = beside.read_text(errors="replace")
    return facts.of(model, card, trial=recorded.reported(told), tensors=tensors)
