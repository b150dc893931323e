"""A model's answers to a dataset, as clients would get them: checked, repaired or refused as `model.yaml` says.

Runs in the sandbox. What the server refuses and what is NaN counts as no answer. Only a class or a number per row and
the scores are kept, so that a long dataset costs no more memory than its own.
"""

from __future__ import annotations

import time
from collections import Counter

import msgspec
import numpy as np

from seatrial_server.artifact import datasets
from seatrial_server.engine import validation
from seatrial_server.host import errors
from seatrial_server.model import answers, datatypes, features, manifest, schema, session
from seatrial_server.model import rows as rows_

SECONDS = 300.0
"""For all rows of a dataset."""
_CHUNK = 4096


class Model(msgspec.Struct, frozen=True):
    """What answers: the candidate as it will be served, or the stable version's original."""

    session: session.Session
    card: schema.Card
    missing: frozenset[str] = frozenset()

    @property
    def schema(self) -> schema.Schema:
        """Its inputs and outputs."""
        return self.session.schema


class Answered(msgspec.Struct, frozen=True):
    """`refused` rows never reached the model; `why` counts them by feature and code."""

    rows: datasets.Rows
    given: dict[str, session.Array]
    refused: session.Array
    why: dict[str, int]
    outputs: tuple[answers.Answers | None, session.Array | None]

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.rows.numbers)


def of_served(model: session.Session, made: manifest.Manifest) -> Model:
    """The prepared model."""
    return Model(session=model, card=made.card, missing=frozenset(made.missing))


def ask(model: Model, rows: datasets.Rows, *, seconds: float = SECONDS) -> Answered:
    """All answers.

    Raises:
        Rejected: the dataset doesn't fit the model's inputs, the model fails on rows, or takes too long.
    """
    given = rows.feeds(model.schema)
    if (model.schema.axis.kind == "none") is not rows_.whole(model.schema, given):
        raise _invalid(f"{rows.source}: each row must be one request, with a dimension more than the model's")
    feeds, refused, why = _admitted(model, given)
    outputs = _run(model, feeds, refused, rows.source, time.monotonic() + seconds)
    return Answered(rows=rows, given=given, refused=refused, why=dict(why), outputs=outputs)


def _admitted(
    model: Model, given: dict[str, session.Array]
) -> tuple[dict[str, session.Array], session.Array, Counter[str]]:
    """The feeds as the server repairs them, which rows it refuses, and why."""
    described = features.by_input(model.card.features, model.schema)
    guards = validation.guards(model.schema, described, missing=model.missing)
    repaired, count = dict(given), len(next(iter(given.values())))
    refused, why = np.zeros(count, bool), Counter[str]()
    for part in rows_.parts(model.schema, given, _CHUNK):
        for spec, guard in zip(model.schema.inputs, guards, strict=True):
            verdict = guard.examine(part.feeds[spec.name]) if guard is not None else None
            if verdict is None:
                continue
            place = slice(part.start, part.start + part.count)
            bad = verdict.refused_rows()
            refused[place] |= bad[: part.count] if len(bad) == part.size and not part.whole else bad.any()
            for column, code, rows in verdict.refused(0, len(bad)):
                names = described.get(spec.name)
                why[f"{names[column].name if names else column} {code}"] += rows
            if repaired[spec.name] is given[spec.name]:
                repaired[spec.name] = given[spec.name].copy()
            repaired[spec.name][place] = verdict.feed[np.newaxis] if part.whole else verdict.feed[: part.count]
    return repaired, refused, why


def _run(
    model: Model, feeds: dict[str, session.Array], refused: session.Array, source: str, until: float
) -> tuple[answers.Answers | None, session.Array | None]:
    """Answers and scores of the rows that were not refused; None and no scores where there are none."""
    admitted = np.flatnonzero(~refused)
    found: list[session.Array] = []
    scores: list[session.Array | None] = []
    labels = False
    for start in range(0, len(admitted), session.ROWS_PER_RUN):
        if time.monotonic() > until:
            raise _invalid(f"{source}: the model takes too long for {len(admitted)} rows: give fewer")
        chosen = admitted[start : start + session.ROWS_PER_RUN]
        outputs = run(model, {name: array[chosen] for name, array in feeds.items()}, source=source)
        answer = answers.read(model.card, model.schema, outputs)
        labels = answer.labels
        found.append(answer.values)
        scores.append(_scores(model, outputs))
    if not found:
        return None, None
    kept = [one for one in scores if one is not None]
    together = np.concatenate(kept) if len(kept) == len(scores) else None
    return answers.Answers(values=np.concatenate(found), labels=labels), together


def run(model: Model, feeds: dict[str, session.Array], *, source: str) -> list[session.Array]:
    """All outputs for some rows."""
    try:
        return model.session.rows(feeds)
    except session.RowsFailed as error:
        raise errors.Rejected("TestFailed", f"{source}: the model fails on {error}") from error


def _scores(model: Model, outputs: list[session.Array]) -> session.Array | None:
    """One for each class: the declared output, else the first one of floats; a single one is the second's."""
    if model.card.task == "regression":
        return None
    for spec, output in zip(model.schema.outputs, outputs, strict=True):
        named = model.card.outputs.probabilities
        if datatypes.BY_NAME[spec.datatype].floating and named in ("", spec.name):
            flat = output.reshape(len(output), -1).astype(np.float64)
            if flat.shape[1] == 1:
                return np.concatenate([1 - flat, flat], axis=1)
            return flat if len(model.card.labels) in (0, flat.shape[1]) else None
    return None


def words(why: dict[str, int]) -> str:
    """Features with what was wrong, the most frequent first."""
    return ", ".join(f"{name} ({rows})" for name, rows in Counter(why).most_common(3))


def _invalid(message: str) -> errors.Rejected:
    return errors.Rejected("InvalidModel", message)
