"""A model's answers against what is right, as metrics take them: classes as places, whatever their type is. Pure.

Labels come as people's tools write them: 0 and 1 as integers, floats or texts, with NaN, None or an empty text where
nobody knows. A label that the model doesn't have as a class is one that it can't get right.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from seatrial_server.artifact import package
from seatrial_server.host import errors
from seatrial_server.model import answers, session
from seatrial_server.trial import answered as answered_
from seatrial_server.trial import metrics

_ABSENT = frozenset({"", "nan", "NaN", "None", "NaT", "<NA>", "null"})
_NONE, _UNSEEN = -3, -2
_SHOWN = 10


def outcomes(model: answered_.Model, answered: answered_.Answered) -> tuple[metrics.Outcomes, session.Array]:
    """The rows that have a right answer, and their places in the dataset.

    Raises:
        Rejected: there are no labels, or none that the model could give.
    """
    labels = answered.rows.column(package.LABEL, model.schema) if _one_each(answered) else None
    answer, _ = answered.outputs
    if answer is None:
        why = answered_.words(answered.why)
        raise _invalid(f"{answered.rows.source}: model.yaml has every row refused: {why}")
    if not answer.labels:
        return _numbers(answered, answer.values)
    if labels is None:
        raise _invalid(f"{answered.rows.source}: must have an array 'label' with one value per row")
    return _classes(model, answered, labels)


def _one_each(answered: answered_.Answered) -> bool:
    labels = answered.rows.arrays.get(package.LABEL)
    return labels is not None and labels.size == answered.count


def _classes(
    model: answered_.Model, answered: answered_.Answered, labels: session.Array
) -> tuple[metrics.Outcomes, session.Array]:
    (answer, scores), source = answered.outputs, answered.rows.source
    assert answer is not None  # noqa: S101  # the caller has looked
    width = 0 if scores is None else scores.shape[1]
    classes = _known(model.card.labels, answer, width)
    admitted = np.flatnonzero(~answered.refused)
    guess = np.full(answered.count, -1)
    guess[admitted] = _codes(answer.values, classes)
    spread = None
    if scores is not None and width == len(classes):
        spread = np.full((answered.count, width), np.nan)
        spread[admitted] = scores
        guess[admitted[~np.isfinite(scores).all(axis=1)]] = -1
    truth = _codes(labels, classes)
    rows = np.flatnonzero(truth != _NONE)
    if not len(rows):
        raise _invalid(f"{source}: no row has a label")
    if (truth[rows] == _UNSEEN).all():
        known = ", ".join(map(repr, classes[:_SHOWN]))
        raise _invalid(f"{source}: no label is one of the model's classes {known}: compare it with model.yaml")
    truth[truth == _UNSEEN] = len(classes)
    return metrics.Outcomes(classes=classes, truth=truth, guess=guess, scores=spread).of(rows), rows


def _known(declared: tuple[str | int, ...], answer: answers.Answers, width: int) -> tuple[Any, ...]:
    """In the order of the scores: those of model.yaml, or the scores' numbers; and whatever else was answered."""
    values = answer.values.astype(str) if answer.values.dtype == np.object_ and not declared else answer.values
    given = sorted(set(values.tolist()), key=lambda value: (str(type(value)), value))
    if declared:
        named = {str(one) for one in declared}
        return (*declared, *(value for value in given if str(_plain(value)) not in named))
    if all(isinstance(value, int) and 0 <= value < width for value in given):
        return tuple(range(width))
    return tuple(map(_plain, given))


def _codes(values: session.Array, classes: tuple[Any, ...]) -> session.Array:
    """Places in the classes; `_NONE` where there is no value, `_UNSEEN` for any other."""
    places: dict[Any, int] = {}
    for place, one in enumerate(classes):
        places.setdefault(one, place)
        places.setdefault(str(one), place)
    whole = values.astype(str) if values.dtype == np.object_ else values
    distinct, inverse = np.unique(whole, return_inverse=True)
    codes = np.array([_code(value, places) for value in distinct.tolist()], np.int64)
    return np.asarray(codes[inverse.reshape(-1)])


def _code(value: Any, places: dict[Any, int]) -> int:
    value = value.decode(errors="replace") if isinstance(value, bytes) else value
    for known in (value, str(_plain(value))):
        if known in places:
            return places[known]
    if value is None or value != value or str(value).strip() in _ABSENT:
        return _NONE
    try:
        number = float(value)
    except (TypeError, ValueError):
        return _UNSEEN
    if number != number:
        return _NONE
    return places.get(int(number), _UNSEEN) if number.is_integer() else _UNSEEN


def _plain(value: Any) -> Any:
    """A float that is whole and a bool as integers, a text with nothing around it."""
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    return value.strip() if isinstance(value, str) else value


def _numbers(answered: answered_.Answered, values: session.Array) -> tuple[metrics.Outcomes, session.Array]:
    source, labels = answered.rows.source, answered.rows.arrays.get(package.LABEL)
    width = values.shape[1]
    if labels is None or labels.size != answered.count * width:
        raise _invalid(
            f"{source}: must have an array 'label' with {width} {'value' if width == 1 else 'values'} per row"
        )
    try:
        right = labels.reshape(answered.count, width).astype(np.float64)
    except (ValueError, TypeError):
        raise _invalid(f"{source}: the model answers numbers, and label has others than numbers") from None
    given = np.full((answered.count, width), np.nan)
    given[~answered.refused] = values
    rows = np.flatnonzero(np.isfinite(right).all(axis=1))
    if not len(rows):
        raise _invalid(f"{source}: no row has a label that is a number")
    return metrics.Outcomes(right=right[rows], given=given[rows]), rows


def _invalid(message: str) -> errors.Rejected:
    return errors.Rejected("InvalidModel", message)
