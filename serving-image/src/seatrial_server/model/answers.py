"""One answer per row, whatever shape the outputs have: a class label or a number. Pure.

The quantization gate and the functional tests compare answers, so both read a model in the same way.
"""

from __future__ import annotations

import msgspec
import numpy as np

from seatrial_server.model import schema, session

_LABEL_TYPES = frozenset({"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "BYTES", "BOOL"})
REGRESSION_TOLERANCE = 0.01
"""Share of the reference answers' range by which a number may move before it counts as another answer."""
VECTOR_TOLERANCE = 0.1
"""Share of an embedding's length by which it may move; less than 6 degrees where only its direction changes."""


class Answers(msgspec.Struct, frozen=True):
    """`values` has one entry per row; `labels` says whether they are classes."""

    values: session.Array
    labels: bool


def output(card: schema.Card, model: schema.Schema) -> tuple[int, bool]:
    """Which output has the answers, and whether it has labels: the label output, else the scores, else the first."""
    places = {spec.name: place for place, spec in enumerate(model.outputs)}
    if card.task != "regression":
        if card.outputs.label:
            return places[card.outputs.label], True
        for place, spec in enumerate(model.outputs):
            if spec.datatype in _LABEL_TYPES:
                return place, True
    return (places[card.outputs.probabilities] if card.outputs.probabilities else 0), False


def read(card: schema.Card, model: schema.Schema, outputs: list[session.Array]) -> Answers:
    """The labels as they are, else the class with the highest score, else a number."""
    place, labels = output(card, model)
    array = outputs[place]
    if labels:
        return Answers(values=_flat(array), labels=True)
    flat = array.reshape(len(array), -1)
    if card.task == "regression" or (flat.shape[1] == 1 and card.task is None):
        return Answers(values=flat, labels=False)
    chosen = best(flat)
    return Answers(values=np.array(card.labels, np.object_)[chosen] if card.labels else chosen, labels=True)


def best(scores: session.Array) -> session.Array:
    """The place of the highest score of each row; of a single score, whether it is above a half."""
    flat = scores.reshape(len(scores), -1)
    return np.asarray(flat.argmax(axis=1) if flat.shape[1] > 1 else (flat[:, 0] > 0.5).astype(np.int64))


def embeddings(card: schema.Card, model: schema.Schema, outputs: list[session.Array]) -> session.Array | None:
    """The first output as vectors, where nothing says or shows that its numbers are scores of classes."""
    if card.task or card.labels or card.outputs.label or card.outputs.probabilities or not outputs:
        return None
    if any(spec.datatype in _LABEL_TYPES for spec in model.outputs) or not len(outputs[0]):
        return None
    flat = outputs[0].reshape(len(outputs[0]), -1).astype(np.float64)
    shares = bool((flat >= 0).all()) and np.allclose(flat.sum(axis=1), 1, atol=1e-3)
    return None if shares or flat.shape[1] == 1 else flat


def moved(reference: session.Array, other: session.Array) -> session.Array:
    """Which embeddings moved by more than the tolerance."""
    reach = VECTOR_TOLERANCE * np.linalg.norm(reference, axis=1)
    return np.asarray(~(np.linalg.norm(reference - other, axis=1) <= reach))


def differing(reference: Answers, other: Answers) -> session.Array:
    """Which rows have another answer: another class, or a number moved by more than the tolerance."""
    if reference.labels:
        return np.asarray(reference.values != other.values)
    spread = float(np.ptp(reference.values)) or 1.0
    moved = np.abs(reference.values.astype(np.float64) - other.values.astype(np.float64))
    # NaN compares false, so "not within" catches it where "beyond" would not.
    return np.asarray(~(moved <= REGRESSION_TOLERANCE * spread).all(axis=1))


def _flat(array: session.Array) -> session.Array:
    return array.reshape(len(array), -1)[:, 0]
