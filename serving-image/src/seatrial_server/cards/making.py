"""The card of a version: of what lies in a work folder, or beside a pod's configuration.

A pod's ConfigMap holds the report of the trial that the revision has passed, so the numbers need nothing else.
"""

from __future__ import annotations

import base64
import logging
import zlib
from pathlib import Path
from typing import Any

import msgspec

from seatrial_server.artifact import package
from seatrial_server.cards import cyclonedx, facts, markdown
from seatrial_server.host import config, logs, sandbox
from seatrial_server.model import manifest, schema
from seatrial_server.trial import report

log = logging.getLogger(__name__)
_LINE = "seatrial-report "


def of_folder(settings: config.Config, work: Path, *, told: str = "") -> facts.Facts:
    """Of what `fetch` and `prepare` left; `told` is the trial's output, if there was one.

    A package that is refused has a card all the same: it says why.
    """
    trial = reported(told)
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
    return facts.of(model, card, trial=reported(told), tensors=tensors)


def reported(told: str) -> report.Report | None:
    """The report at the end of a trial's output; None where there is none that can be read.

    It may be of a trial by another release, which says less or more.
    """
    lines = told.strip().split("\n")
    if not lines[-1]:
        return None
    try:
        plain = lines[-1].encode()
        if lines[-1].startswith(_LINE):
            parts = [line.split()[-1] for line in lines if line.startswith(_LINE)]
            stream = zlib.decompressobj()
            plain = stream.decompress(base64.b64decode("".join(parts)), report.MAX_BYTES)
        return msgspec.json.decode(plain, type=report.Report)
    except (ValueError, msgspec.MsgspecError, zlib.error) as error:
        logs.warning(log, "the card goes without the trial's numbers: the report can't be read", cause=str(error))
        return None


def render(known: facts.Facts, form: str) -> tuple[bytes, str]:
    """The document and its media type; `form` is markdown or cyclonedx."""
    if form == "markdown":
        return markdown.render(known), markdown.MEDIA_TYPE
    return cyclonedx.render(known), cyclonedx.MEDIA_TYPE
