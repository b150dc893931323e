"""The card from what is on record of a version, without its model: the trial's report, and the document in either form.

Needs nothing that only a server has (no ONNX Runtime), so that people's tools can make the card as well.
"""

from __future__ import annotations

import base64
import logging
import zlib
from collections.abc import Iterable, Mapping

import msgspec

from seatrial_server.cards import cyclonedx, facts, markdown
from seatrial_server.host import config
from seatrial_server.model import schema
from seatrial_server.trial import report

log = logging.getLogger(__name__)
_LINE = "seatrial-report "


def of(
    model: Mapping[str, str],
    told: str,
    *,
    serving: Iterable[tuple[str, str]] = (),
    measured: Iterable[report.Evaluation] = (),
) -> facts.Facts:
    """All that is on record.

    Args:
        model: name, version, uri and sha256.
        told: the trial's report; empty where it is gone.
        serving: what the cluster says of the version, as names and values.
        measured: figures by labels of its answers.

    Raises:
        msgspec.ValidationError: the model isn't named as the operator names it.
    """
    trial = reported(told)
    card = trial.card if trial is not None and trial.card is not None else schema.Card()
    tensors = None if trial is None else schema.Schema(inputs=trial.inputs, outputs=trial.outputs)
    known = facts.of(msgspec.convert(model, config.ModelRef), card, trial=trial, tensors=tensors)
    return msgspec.structs.replace(known, serving=tuple(serving), measured=tuple(measured))


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
        log.warning(
            "the card goes without the trial's numbers: the report can't be read",
            extra={"fields": {"cause": str(error)}},
        )
        return None


def render(known: facts.Facts, form: str) -> tuple[bytes, str]:
    """The document and its media type; `form` is markdown or cyclonedx."""
    if form == "markdown":
        return markdown.render(known), markdown.MEDIA_TYPE
    return cyclonedx.render(known), cyclonedx.MEDIA_TYPE
