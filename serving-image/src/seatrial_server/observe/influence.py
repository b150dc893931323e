"""Which feature moves a row's answer most: each is replaced by what is typical of the reference, all in one run.

The trial makes the reference of it and a pod counts by it, so both go through here. Costs one run of the model with a
row more than there are features.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from seatrial_server.model import bins, datatypes, schema, session

NONE = "(none)"
"""Where no feature moves the answer."""
OTHER = "other"
MAX_NAMED = 60
"""Features with a bin of their own; the operator takes 64 bins."""
MAX_BYTES = 4 * 1024 * 1024
"""Of a row, as often as there are features: an image beside the table would be copied for each."""
_LEAST = 1e-6
"""Of the answer: what only another order of additions has moved."""


class _Answer(msgspec.Struct, frozen=True):
    """The output that is asked: its place; whether it holds numbers; whether one class' score is looked at."""

    place: int
    numbers: bool
    scores: bool


class Influence:
    """Asks one model. `batch`: rows of a run.

    `rows`: what a question takes of them. Labels are those of the drift counters: the first two say nothing here, then
    come all other features, none of all, and each of the first ones.
    """

    def __init__(
        self, model: session.Session, card: schema.Card, typical: Sequence[bins.Typical], *, batch: int
    ) -> None:
        self._model, self._typical, self._batch = model, typical, batch
        self._names = [spec.name for spec in model.schema.inputs]
        self._answer = _answer(card, model.schema)
        names = [_name(one.name) for one in typical[:MAX_NAMED]]
        self.rows = len(typical) + 1
        self.labels = ("missing", "unseen", OTHER, NONE, *names)

    def of(self, row: Sequence[session.Array]) -> int | None:
        """The place in `labels` of a row's most influential feature; None where the model gives no usable answer.

        Args:
            row: an array for each input, of one row, as the model may see it.

        Raises:
            RowsFailed: the model fails.
        """
        count = self.rows
        if sum(array.nbytes for array in row) * count > MAX_BYTES:
            return None
        feeds = [np.repeat(array, count, axis=0) for array in row]
        flat = [feed.reshape(count, -1) for feed in feeds]
        for number, one in enumerate(self._typical, 1):
            flat[one.tensor][number, one.column] = one.value
        outputs = self._model.rows(dict(zip(self._names, feeds, strict=True)), self._batch)
        moved = self._moved(outputs[self._answer.place])
        if moved is None:
            return None
        most = int(moved.argmax())
        if not moved[most]:
            return self.labels.index(NONE)
        return self.labels.index(NONE) + 1 + most if most < MAX_NAMED else self.labels.index(OTHER)

    def _moved(self, output: session.Array) -> session.Array | None:
        """By how much each replacement moves the answer, or whether it does."""
        answers = output.reshape(len(output), -1)
        if not self._answer.numbers:
            return np.asarray((answers[1:] != answers[0]).any(axis=1))
        if not answers.size or not np.isfinite(answers).all():
            return None
        numbers = answers.astype(np.float64)
        if self._answer.scores:
            top = int(numbers[0].argmax())
            numbers = numbers[:, top : top + 1]
        moved = np.abs(numbers[1:] - numbers[0]).max(axis=1)
        return np.where(moved > _LEAST * np.abs(numbers).max(), moved, 0.0)


def _answer(card: schema.Card, model: schema.Schema) -> _Answer:
    """The declared scores, else the first output of numbers with a fraction, else the first of all."""
    floating = [datatypes.BY_NAME[spec.datatype].floating for spec in model.outputs]
    names = [spec.name for spec in model.outputs]
    if card.outputs.probabilities in names:
        place = names.index(card.outputs.probabilities)
    else:
        place = floating.index(True) if True in floating else 0
    numbers = floating[place] or (card.task == "regression" and model.outputs[place].datatype not in ("BYTES", "BOOL"))
    return _Answer(place=place, numbers=numbers, scores=card.task != "regression")


def _name(text: str) -> str:
    """A feature's label, unlike all others that have a meaning."""
    return f"={text}" if text.lstrip("=") == NONE else bins.label(text)
