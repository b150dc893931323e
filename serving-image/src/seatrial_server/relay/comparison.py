"""Two revisions' answers to the same rows: the same answer or another one, by the task's own measure. Pure.

The measure is the one of the quantization gate: equal classes, numbers within a share of the answers' range, embeddings
within a share of their length. One request seldom shows a range, so it is that of all answers so far. Where a client
asked for some of the outputs only, those are held against each other.
"""

from __future__ import annotations

import msgspec
import numpy as np

from seatrial_server.model import answers, schema, session


class Compared(msgspec.Struct, frozen=True):
    """`differences` are those of numbers, as shares of the range; none for classes."""

    same: int
    different: int
    differences: tuple[float, ...] = ()


class Comparison:
    """For one model, the stable one's, whose answers are the reference."""

    def __init__(self, card: schema.Card, model: schema.Schema) -> None:
        self._card, self._model = card, model
        self._ranges: dict[str, tuple[float, float]] = {}

    def compare(
        self, reference: list[session.Array], other: list[session.Array], *, wanted: tuple[int, ...]
    ) -> Compared | None:
        """Row by row; None when the answers have nothing in common to compare.

        Both have the outputs at the places `wanted` of the model's, in order.
        """
        card, model = self._card, self._model
        if len(wanted) != len(model.outputs):
            model = msgspec.structs.replace(model, outputs=tuple(model.outputs[place] for place in wanted))
            card = _within(card, model)
        try:
            return self._compare(card, model, reference, other)
        except (ValueError, TypeError, IndexError, KeyError):  # shapes or types that do not fit each other
            return None

    def _compare(
        self, card: schema.Card, model: schema.Schema, reference: list[session.Array], other: list[session.Array]
    ) -> Compared | None:
        vectors = answers.embeddings(card, model, reference)
        if vectors is not None:
            return _counted(answers.moved(vectors, other[0].reshape(vectors.shape).astype(np.float64)))
        left, right = answers.read(card, model, reference), answers.read(card, model, other)
        if left.values.shape != right.values.shape:
            return None
        if left.labels:
            return _counted(answers.differing(left, right))
        moved = np.abs(left.values.astype(np.float64) - right.values.astype(np.float64)).max(axis=1)
        shares = moved / self._range(card.outputs.probabilities or model.outputs[0].name, left.values)
        within = shares <= answers.REGRESSION_TOLERANCE  # NaN is not
        counted = _counted(~within)
        return Compared(counted.same, counted.different, tuple(shares[np.isfinite(shares)].tolist()))

    def _range(self, output: str, values: session.Array) -> float:
        lowest, highest = self._ranges.get(output, (np.inf, -np.inf))
        lowest, highest = self._ranges[output] = min(lowest, float(values.min())), max(highest, float(values.max()))
        return (highest - lowest) or abs(highest) or 1.0


def _within(card: schema.Card, model: schema.Schema) -> schema.Card:
    """What the card says of these outputs; what is left of a classifier's are not suddenly numbers."""
    names, said = {spec.name for spec in model.outputs}, card.outputs
    kept = schema.OutputNames(
        label=said.label if said.label in names else "",
        probabilities=said.probabilities if said.probabilities in names else "",
    )
    classes = bool(said.label or said.probabilities or card.labels)
    return msgspec.structs.replace(card, outputs=kept, task=card.task or ("classification" if classes else None))


def _counted(different: session.Array) -> Compared:
    count = int(np.count_nonzero(different))
    return Compared(len(different) - count, count)
