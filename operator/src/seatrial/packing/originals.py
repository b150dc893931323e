"""The model as its own library answers: which columns it takes, what its classes are, labels, scores and numbers.

The estimator is asked, never taken apart, so that one class serves all libraries.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from seatrial.packing import errors, layouts, sources, tables

Label = int | str
Task = Literal["classification", "regression"]
Array = np.ndarray[Any, Any]
_UNSEEN = "a value never seen"


class Answers(msgspec.Struct, frozen=True):
    """One entry a row: `labels` of a classifier, with `scores` by class if it gives some, else `numbers`."""

    labels: Array | None = None
    scores: Array | None = None
    numbers: Array | None = None


class Original:
    """An estimator of any library. `names`: the columns it was fitted on, None if it was fitted without names."""

    def __init__(self, estimator: sources.Estimator) -> None:
        self.estimator = estimator
        self.library = type(estimator).__module__.partition(".")[0]
        self.task = _task(estimator)
        self.names = _names(estimator, self.library)
        self.count = _count(estimator, self.names)

    @functools.cached_property
    def classes(self) -> tuple[Label, ...]:
        """In the order of the scores; empty for a regressor."""
        if self.task == "regression":
            return ()
        if not hasattr(self.estimator, "classes_"):  # LightGBM's native model
            return tuple(range(max(2, int(self.estimator.params.get("num_class", 2)))))
        known = np.asarray(self.estimator.classes_)
        if known.ndim != 1:
            raise errors.CannotConvert("the classifier answers several labels for a row: pack one classifier for each")
        return tuple(label(one) for one in known)

    def answers(self, frame: tables.Frame, columns: Sequence[str]) -> Answers:
        """What the library says to these rows.

        Raises:
            BadInput: it fails on them.
        """
        try:
            return self._answers(self._rows(frame, columns))
        except errors.PackError:
            raise
        except Exception as error:  # estimators raise anything
            raise errors.BadInput(
                f"the model itself fails on the data: {type(error).__name__}: {error}: give data that it can answer"
            ) from error

    def takes_unseen(self, frame: tables.Frame, columns: Sequence[str], text: str) -> bool:
        """Whether a text that wasn't in the data gets an answer."""
        row = frame.iloc[:1].copy()
        row[text] = _UNSEEN
        try:
            self._answers(self._rows(row, columns))
        except Exception:  # as above
            return False
        return True

    def _rows(self, frame: tables.Frame, columns: Sequence[str]) -> Any:
        """A frame for who was fitted on one: CatBoost and LightGBM then check the names."""
        return frame[list(columns)] if self.names is not None else layouts.numbers(frame, columns)

    def _answers(self, rows: Any) -> Answers:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the library, about names and types: the comparison tells
            given = np.asarray(self.estimator.predict(rows))
            if self.task == "regression":
                return Answers(numbers=given.reshape(len(rows), -1).astype(np.float64))
            if self.library == "lightgbm" and not hasattr(self.estimator, "classes_"):
                return _of_booster(given)
            known = {one: place for place, one in enumerate(self.classes)}
            labels = np.array([known[label(one)] for one in given.reshape(-1)])
            return Answers(labels=labels, scores=_scores(self.estimator, rows))


def label(value: Any) -> Label:
    """A class as JSON and ONNX can say it: a whole number or a text."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, str):
        return plain
    if isinstance(plain, bool | int) or (isinstance(plain, float) and plain.is_integer()):
        return int(plain)
    raise errors.BadInput(f"{value!r} can't be a class: classes must be whole numbers or texts")


def _scores(estimator: sources.Estimator, rows: Any) -> Array | None:
    try:
        return np.asarray(estimator.predict_proba(rows), np.float64)
    except AttributeError:  # estimators hide it, such as SVC(probability=False)
        return None


def _of_booster(given: Array) -> Answers:
    """LightGBM's native model gives scores only: of the second class, or of all."""
    scores = np.stack([1 - given, given], axis=1) if given.ndim == 1 else given
    return Answers(labels=scores.argmax(axis=1), scores=scores)


def _task(estimator: sources.Estimator) -> Task:
    objective = str(getattr(estimator, "params", {}).get("objective", ""))  # LightGBM's native model
    if hasattr(estimator, "classes_") or objective.startswith(("binary", "multiclass")):
        return "classification"
    kind = getattr(estimator, "_estimator_type", None)
    if kind is None and hasattr(estimator, "__sklearn_tags__"):
        kind = estimator.__sklearn_tags__().estimator_type
    if kind == "regressor" or objective or type(estimator).__name__.endswith("Regressor"):
        return "regression"
    raise errors.BadInput(
        f"a {type(estimator).__name__} is neither a classifier nor a regressor: convert it to ONNX yourself and pack "
        "the .onnx file"
    )


def _names(estimator: sources.Estimator, library: str) -> tuple[str, ...] | None:
    if library == "catboost":
        found = estimator.feature_names_
        return None if found == [str(place) for place in range(len(found))] else tuple(map(str, found))
    if library == "lightgbm" and callable(getattr(estimator, "feature_name", None)):
        found = estimator.feature_name()
        return None if found == [f"Column_{place}" for place in range(len(found))] else tuple(found)
    found = getattr(estimator, "feature_names_in_", None)
    return None if found is None else tuple(map(str, found))


def _count(estimator: sources.Estimator, names: tuple[str, ...] | None) -> int | None:
    if names is not None:
        return len(names)
    for attribute in ("n_features_in_", "num_feature"):
        found = getattr(estimator, attribute, None)
        if found is not None:
            return int(found() if callable(found) else found)
    return len(estimator.feature_names_) if hasattr(estimator, "feature_names_") else None
