"""The package's reference rows to a profile: bins, and the share of the reference in each. Runs in the sandbox."""

from __future__ import annotations

import logging
from pathlib import Path

from seatrial_server.artifact import package
from seatrial_server.host import logs
from seatrial_server.model import bins, datatypes, schema, session
from seatrial_server.model import rows as rows_
from seatrial_server.observe import drift
from seatrial_server.prepare import profile, typical

log = logging.getLogger(__name__)


def read(folder: Path, card: schema.Card, served: session.Session) -> bins.Profile:
    """The profile of the model that will be served; empty without reference rows."""
    rows = package.reference(folder, served.schema)
    if rows is None or (served.schema.axis.kind == "none") is not rows_.whole(served.schema, rows):
        return bins.Profile()
    try:
        return _profile(card, served, rows)
    except Exception:  # bins are a help; nothing that is odd about the rows may cost the model its trial
        log.exception("no bins: the reference rows can't be counted")
        return bins.Profile()


def _profile(card: schema.Card, served: session.Session, rows: dict[str, session.Array]) -> bins.Profile:
    """Edges come from the first rows, and answers: the model may be slow. The inputs' shares are those of all rows."""
    inputs = [rows[spec.name] for spec in served.schema.inputs]
    first = [array[: profile.MAX_ROWS] for array in inputs]
    outputs = _answers(served, first)
    features = profile.features(card, served.schema, first)
    predictions = profile.outputs(card, served.schema, outputs) if outputs else ()
    return bins.Profile(
        features=features,
        outputs=predictions,
        feature_shares=drift.shares(features, datatypes.dtypes(served.schema.inputs), inputs),
        output_shares=drift.shares(predictions, datatypes.dtypes(served.schema.outputs), outputs),
        feature_rows=len(inputs[0]),
        output_rows=len(outputs[0]) if outputs else 0,
        typical=typical.values(card, served.schema, first),
    )


def _answers(served: session.Session, inputs: list[session.Array]) -> list[session.Array]:
    names = [spec.name for spec in served.schema.inputs]
    try:
        return served.rows(dict(zip(names, inputs, strict=True)))
    except session.RowsFailed as error:
        logs.warning(log, "no bins of predictions: the model fails on the reference rows", cause=str(error))
        return []
