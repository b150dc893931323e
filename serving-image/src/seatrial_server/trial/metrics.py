"""Metrics of a model's answers to rows whose right answer is known. Pure.

Each comes with its influence function: by how much every row moves it. Its variance is the mean square of that over the
number of rows, that of a difference of two models on the same rows the mean square of the difference: one rule for all.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from seatrial_server.model import declared, session

LESS_IS_BETTER = frozenset({"logLoss", "brier", "calibrationError", "mae", "rmse", "falsePositiveRate"})
NUMBERS = frozenset({"mae", "rmse"})
"""For models that answer numbers; all others are for classes."""
_OF_SCORES = frozenset({"auc", "logLoss", "brier", "calibrationError"})
_SMALLEST = 1e-15
_BINS = 10


class Unmeasurable(Exception):
    """The rows or the model lack something that the metric needs; the text says what."""


class Outcomes(msgspec.Struct, frozen=True):
    """Rows with a known right answer.

    Classes are places in the model's own list: `truth` is len(classes) for one that the model doesn't have, `guess` is
    -1 where there was no answer. `scores` [rows, classes] are NaN there. Numbers are in `right` and `given`.
    """

    classes: tuple[int | str, ...] = ()
    truth: session.Array | None = None
    guess: session.Array | None = None
    scores: session.Array | None = None
    right: session.Array | None = None
    given: session.Array | None = None

    def of(self, rows: session.Array) -> Outcomes:
        """Some of the rows."""
        parts = {
            name: None if (array := getattr(self, name)) is None else array[rows]
            for name in ("truth", "guess", "scores", "right", "given")
        }
        return Outcomes(classes=self.classes, **parts)


class Measured(msgspec.Struct, frozen=True):
    """`events` of `trials` where it is a share. `rows` says how many had to do with it."""

    metric: str
    value: float
    influence: session.Array
    rows: int
    events: int = 0
    trials: int = 0


def measure(metric: declared.Metric, outcomes: Outcomes, *, label: int | str | None = None) -> Measured:
    """One metric.

    Raises:
        Unmeasurable: numbers for classes or the other way round, no scores, one class only.
    """
    if (metric in NUMBERS) is not (outcomes.right is not None):
        wanted = "numbers" if metric in NUMBERS else "classes"
        raise Unmeasurable(f"{metric} is of models that answer {wanted}")
    if metric in NUMBERS:
        return _of_numbers(metric, outcomes)
    if metric in _OF_SCORES:
        return _of_scores(metric, outcomes, label)
    return _COUNTED[metric](metric, outcomes, label)


def _place(outcomes: Outcomes, label: int | str | None) -> int:
    if label is None:
        if len(outcomes.classes) != 2:
            raise Unmeasurable("say which label it is about: the model has not just two classes")
        return 1
    texts = [str(one) for one in outcomes.classes]
    if str(label) not in texts:
        raise Unmeasurable("label is none of the model's classes")
    return texts.index(str(label))


def _truth(outcomes: Outcomes) -> tuple[session.Array, session.Array]:
    if outcomes.truth is None or outcomes.guess is None:
        raise Unmeasurable("it needs labels")
    return outcomes.truth, outcomes.guess


def _share(metric: str, hits: session.Array, among: session.Array, lacking: str) -> Measured:
    trials, events = int(among.sum()), int((hits & among).sum())
    if not trials:
        raise Unmeasurable(lacking)
    value = events / trials
    influence = np.where(among, hits - value, 0.0) / (trials / len(hits))
    return Measured(metric=metric, value=value, influence=influence, rows=trials, events=events, trials=trials)


def _accuracy(metric: str, outcomes: Outcomes, label: int | str | None) -> Measured:
    truth, guess = _truth(outcomes)
    return _share(metric, np.asarray(truth == guess), np.ones(len(truth), bool), "there are no rows")


def _recall(metric: str, outcomes: Outcomes, label: int | str | None) -> Measured:
    truth, guess = _truth(outcomes)
    place = _place(outcomes, label)
    return _share(metric, guess == place, truth == place, "no row has the label")


def _false_positives(metric: str, outcomes: Outcomes, label: int | str | None) -> Measured:
    truth, guess = _truth(outcomes)
    place = _place(outcomes, label)
    return _share(metric, guess == place, truth != place, "every row has the label")


def _selected(metric: str, outcomes: Outcomes, label: int | str | None) -> Measured:
    truth, guess = _truth(outcomes)
    return _share(metric, guess == _place(outcomes, label), np.ones(len(truth), bool), "there are no rows")


def _balanced(metric: str, outcomes: Outcomes, label: int | str | None) -> Measured:
    truth, guess = _truth(outcomes)
    present = np.unique(truth)
    value, influence = 0.0, np.zeros(len(truth))
    for place in present.tolist():
        one = _share(metric, guess == place, truth == place, "")
        value += one.value / len(present)
        influence += one.influence / len(present)
    return Measured(metric=metric, value=value, influence=influence, rows=len(truth))


def _f1(metric: str, outcomes: Outcomes, label: int | str | None) -> Measured:
    """Of the label; the mean over the classes that occur where none is said and there are more than two."""
    truth, guess = _truth(outcomes)
    several = label is None and len(outcomes.classes) != 2
    places = np.unique(truth).tolist() if several else [_place(outcomes, label)]
    value, influence = 0.0, np.zeros(len(truth))
    for place in places:
        hit, either = (truth == place) & (guess == place), (truth == place) * 1.0 + (guess == place)
        size = either.mean()
        if not size:
            raise Unmeasurable("no row has the label, and none was given it")
        one = 2 * hit.mean() / size
        value += one / len(places)
        influence += (2 * hit - one * either) / size / len(places)
    return Measured(metric=metric, value=float(value), influence=influence, rows=len(truth))


_COUNTED: dict[str, Callable[[str, Outcomes, int | str | None], Measured]] = {
    "accuracy": _accuracy,
    "balancedAccuracy": _balanced,
    "f1": _f1,
    "recall": _recall,
    "truePositiveRate": _recall,
    "falsePositiveRate": _false_positives,
    "selectionRate": _selected,
}


def _of_scores(metric: str, outcomes: Outcomes, label: int | str | None) -> Measured:
    truth, _ = _truth(outcomes)
    if outcomes.scores is None:
        raise Unmeasurable(f"{metric} needs scores, and the model has no output with one for each class")
    known = np.asarray(np.isfinite(outcomes.scores).all(axis=1))
    if not known.any():
        raise Unmeasurable("the model answers none of the rows")
    scores, truth = outcomes.scores[known], truth[known]
    if metric == "auc":
        value, part = _auc(scores[:, _place(outcomes, label)], np.asarray(truth == _place(outcomes, label)))
    else:
        _check_probabilities(metric, scores)
        value, part = _PROPER[metric](scores, truth)
    influence = np.zeros(len(known))
    influence[known] = part * (len(known) / len(part))
    return Measured(metric=metric, value=value, influence=influence, rows=len(part))


def _check_probabilities(metric: str, scores: session.Array) -> None:
    if scores.min() < -1e-6 or scores.max() > 1 + 1e-6 or not np.allclose(scores.sum(axis=1), 1, atol=1e-3):
        raise Unmeasurable(f"{metric} needs probabilities, and the model's scores are none")


def _auc(scores: session.Array, positive: session.Array) -> tuple[float, session.Array]:
    """Area under the curve with the placements of DeLong and others (1988): equal scores count half."""
    ups, downs = np.sort(scores[positive]), np.sort(scores[~positive])
    if not len(ups) or not len(downs):
        raise Unmeasurable("auc needs rows with the label and rows without")

    def below(values: session.Array, of: session.Array) -> session.Array:
        return (np.searchsorted(of, values, "left") + np.searchsorted(of, values, "right")) / (2 * len(of))

    placed = np.where(positive, below(scores, downs), 1 - below(scores, ups))
    value = float(placed[positive].mean())
    share = len(ups) / len(scores)
    return value, (placed - value) / np.where(positive, share, 1 - share)


def _chosen(scores: session.Array, truth: session.Array) -> session.Array:
    """The right class's probability; none for a class that the model doesn't have."""
    padded = np.concatenate([scores, np.zeros((len(scores), 1))], axis=1)
    return np.asarray(padded[np.arange(len(truth)), truth])


def _log_loss(scores: session.Array, truth: session.Array) -> tuple[float, session.Array]:
    return _mean(-np.log(np.maximum(_chosen(scores, truth), _SMALLEST)))


def _brier(scores: session.Array, truth: session.Array) -> tuple[float, session.Array]:
    """Mean square of probabilities against what is right: of two classes that of the second, else the sum over all."""
    own = _chosen(scores, truth)
    squares = (scores**2).sum(axis=1) - own**2 + (1 - own) ** 2
    return _mean(squares / 2 if scores.shape[1] == 2 else squares)


def _calibration(scores: session.Array, truth: session.Array) -> tuple[float, session.Array]:
    """How far the highest score is from the share that is right, weighed over ten bins of it (Naeini and others)."""
    top, right = scores.max(axis=1), scores.argmax(axis=1) == truth
    bins = np.minimum((top * _BINS).astype(np.int64), _BINS - 1)
    gap = top - right
    sums = np.bincount(bins, weights=gap, minlength=_BINS)
    signed = gap * np.sign(sums)[bins]
    value = float(np.abs(sums).sum() / len(top))
    return value, signed - value


_PROPER: dict[str, Callable[[session.Array, session.Array], tuple[float, session.Array]]] = {
    "logLoss": _log_loss,
    "brier": _brier,
    "calibrationError": _calibration,
}


def _mean(values: session.Array) -> tuple[float, session.Array]:
    value = float(values.mean())
    return value, values - value


def _of_numbers(metric: str, outcomes: Outcomes) -> Measured:
    assert outcomes.right is not None and outcomes.given is not None  # noqa: PT018, S101  # the caller has looked
    known = np.asarray(np.isfinite(outcomes.given).all(axis=1))
    if not known.any():
        raise Unmeasurable("the model answers none of the rows")
    errors = outcomes.given[known] - outcomes.right[known]
    if metric == "mae":
        value, part = _mean(np.abs(errors).mean(axis=1))
    else:
        square, part = _mean((errors**2).mean(axis=1))
        value = float(np.sqrt(square))
        part = part / (2 * value) if value else part
    influence = np.zeros(len(known))
    influence[known] = part * (len(known) / len(part))
    return Measured(metric=metric, value=value, influence=influence, rows=len(part))
