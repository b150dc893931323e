"""`tests.yaml`: what the model showed on the holdout rows, as tests that every later version has to pass as well.

Minimum functionality is the clearest cases of each class; what can't be known from data is a comment to fill in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import yaml

from seatrial.packing import comparing, layouts, originals

Array = np.ndarray[Any, Any]
EXPECTED = "expected:"
"""Before an output's name: the array of the model's own answers."""
_NEIGHBOURS: Mapping[str, Any] = {
    "name": "neighbours make no difference",
    "dataset": "reference",
    "maxRows": 256,
    "perturb": {"rebatch": [1, 8, 32]},
}
_CLEAR = 2
_KNOWN = 200
_ROOM = 0.02
"""How much accuracy int8 may cost; the trial's own gate is for more."""


class Shown(msgspec.Struct, frozen=True):
    """Holdout rows with what the graph answers, as places in `classes` or as numbers; `truth` where the data has it."""

    feeds: layouts.Feeds
    classes: tuple[originals.Label, ...]
    answers: originals.Answers
    truth: Array | None


class Error(msgspec.Struct, frozen=True):
    """How far numbers are off."""

    mean_absolute: float
    root_mean_square: float


class Parity(msgspec.Struct, frozen=True, rename="camel"):
    """How far answers may be from those where the model was trained: as far as the conversion was allowed to."""

    max_delta: float
    max_fail_rate: float

    @classmethod
    def of(cls, expected: layouts.Feeds, *, differing: float) -> Parity | None:
        """None where there are no such answers. `differing`: the share of rows that may be answered otherwise."""
        numbers = [array for array in expected.values() if array.dtype.kind == "f"]
        spread = max((float(np.ptp(array)) for array in numbers if array.size), default=1.0)
        tolerance = max(comparing.SCORE_TOLERANCE, comparing.NUMBER_TOLERANCE * (spread or 1.0))
        return cls(max_delta=float(f"{tolerance:.3g}"), max_fail_rate=float(f"{differing:.3g}")) if expected else None


def document(shown: Shown, *, described: Sequence[Mapping[str, Any]], parity: Parity | None) -> str:
    """The file; `described` are the features of model.yaml."""
    parts = [_HEADER]
    functional = _functional(shown)
    if functional:
        parts.append(_yaml({"functional": functional}))
    neighbours = dict(_NEIGHBOURS)
    if shown.classes:
        neighbours["maxDelta"] = 1e-4  # of scores; numbers have the trial's own bound, which is relative
    parts.append(_yaml({"invariance": [neighbours]}))
    parts += _examples(described, classifies=bool(shown.classes))
    performance = _performance(shown, described)
    parts += _data(parity, known=bool(performance))
    parts += performance
    parts.append(_yaml({"robustness": {"cases": 200, "seed": 7}}))
    return "".join(parts)


def of_tensors(parity: Parity | None, *, rebatch: bool) -> str:
    """The file for a model of tensors. `rebatch`: it takes as many rows as one likes."""
    parts = [_HEADER]
    if rebatch:
        parts.append(_yaml({"invariance": [dict(_NEIGHBOURS)]}))
    parts += _data(parity, known=False)
    parts.append(_yaml({"robustness": {"cases": 50, "seed": 7}}))
    return "".join(parts)


def accuracy(shown: Shown) -> float | None:
    """On the holdout rows; None without labels or classes."""
    if shown.truth is None or shown.answers.labels is None or not len(shown.truth):
        return None
    return float((shown.answers.labels == shown.truth).mean())


def error(shown: Shown) -> Error | None:
    """On the holdout rows, in the target's units; None where nothing says what is right, and for classes."""
    numbers = shown.answers.numbers
    if shown.truth is None or numbers is None or not len(numbers) or numbers.size != shown.truth.size:
        return None
    off = numbers.reshape(-1) - shown.truth.reshape(-1)
    return Error(mean_absolute=float(np.abs(off).mean()), root_mean_square=float(np.sqrt((off**2).mean())))


def _functional(shown: Shown) -> list[dict[str, Any]]:
    labels = shown.answers.labels
    if labels is None or not len(labels):
        return []
    clear = _clearest(shown)
    tests = [_test("clear cases", clear, labels, shown)] if len(clear) else []
    if shown.truth is not None:
        known = np.arange(len(labels))[:_KNOWN]
        right = float((labels[known] == shown.truth[known]).mean())
        bound = max(0.0, math.floor((right - _ROOM) * 100) / 100)
        tests.append(_test("holdout rows", known, shown.truth, shown, minAccuracy=bound))
    return tests


def _test(name: str, rows: Array, labels: Array, shown: Shown, **more: float) -> dict[str, Any]:
    expected = [shown.classes[place] for place in labels[rows].tolist()]
    feeds = {key: array[rows].tolist() for key, array in shown.feeds.items()}
    return {"name": name, "rows": feeds, "expect": {"labels": expected, **more}}


def _clearest(shown: Shown) -> Array:
    """The rows of each class with the highest score among those that are right; the first ones without scores."""
    labels, scores = shown.answers.labels, shown.answers.scores
    assert labels is not None  # noqa: S101  # the caller has looked
    right = np.ones(len(labels), bool) if shown.truth is None else labels == shown.truth
    sure = np.zeros(len(labels)) if scores is None else scores.max(axis=1)
    chosen: list[int] = []
    for place in range(len(shown.classes)):
        rows = np.flatnonzero(right & (labels == place))
        chosen += rows[np.argsort(-sure[rows], kind="stable")][:_CLEAR].tolist()
    return np.array(sorted(chosen), np.int64)


_HEADER = """\
# What the model must show in its trial. Written by seatrial pack; take away a '#' where the example is true of your
# model. docs/reference/model-package.md says what else can be asked.
"""


def _examples(described: Sequence[Mapping[str, Any]], *, classifies: bool) -> list[str]:
    """Tests that only somebody who knows the subject can fill in: more of `invariance`, and directions."""
    number = next((str(one["name"]) for one in described if "range" in one), None)
    text = next((one for one in described if "categories" in one), None)
    found: list[str] = []
    if text is not None:
        changed = {"set": {text["name"]: list(text["categories"])[:3]}}
        found.append(_commented([_perturbed(f"{text['name']} makes no difference", changed, maxDelta=0.01)]))
    if number is not None:
        noise = _perturbed(f"a little {number} makes no difference", {"noise": {number: 0.01}}, maxFailRate=0.01)
        column = {"column": 1} if classifies else {}
        more = _perturbed(f"more {number} never lowers it", {"add": {number: 1}}, **column, direction="nonDecreasing")
        found += [_commented([noise]), _commented({"directional": [more]})]
    return found


def _data(parity: Parity | None, *, known: bool) -> list[str]:
    """`known`: there is a holdout.npz."""
    same = {"name": "same answers as where it was trained", "dataset": "reference"}
    asked = [] if parity is None else [{**same, "parity": msgspec.to_builtins(parity)}]
    found = [_yaml({"data": asked})] if asked else []
    if known:
        parses = [{"name": "parses", "dataset": "holdout", "accepted": 0.99}]
        found.append(_commented(parses if asked else {"data": parses}))
    return found


def _performance(shown: Shown, described: Sequence[Mapping[str, Any]]) -> list[str]:
    """Tests on holdout.npz. Only somebody who knows the subject can say which bounds are right; these hold today."""
    off, right = error(shown), accuracy(shown)
    if off is not None:
        return _of_numbers(off)
    return _of_classes(shown, right, described) if right is not None else []


def _of_numbers(off: Error) -> list[str]:
    room = float(f"{_ROOM * off.mean_absolute:.3g}")
    near = {"name": "error", "dataset": "holdout", "metric": "mae"}
    bounded = {**near, "max": float(f"{off.mean_absolute + 2 * room:.3g}")}
    compared = {**near, "name": "not worse than stable", "against": "Stable", "maxDrop": room}
    return [_commented({"performance": [bounded, compared]})]


def _of_classes(shown: Shown, right: float, described: Sequence[Mapping[str, Any]]) -> list[str]:
    grouped = next((str(one["name"]) for one in described if "categories" in one), None)
    least = max(0.0, math.floor((right - _ROOM) * 100) / 100)
    accurate = {"name": "accuracy", "dataset": "holdout", "metric": "accuracy"}
    performance: list[dict[str, Any]] = [
        {**accurate, "min": least},
        {**accurate, "name": "not worse than stable", "against": "Stable", "maxDrop": 0.02},
    ]
    if grouped is not None:
        worst = {**accurate, "name": f"no {grouped} is left behind", "by": grouped, "min": 0.5, "minRows": 20}
        performance.append(worst)
    found = [_commented({"performance": performance})]
    if grouped is not None and len(shown.classes) == 2:
        gap = {"name": "equal opportunity", "dataset": "holdout", "by": grouped, "metric": "truePositiveRate"}
        found.append(_commented({"fairness": [{**gap, "maxGap": 0.5, "minRows": 20}]}))
    return found


def _perturbed(name: str, perturb: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "dataset": "reference", "perturb": perturb, **more}


def _commented(content: Any) -> str:
    return "".join(f"# {line}\n" for line in _yaml(content).splitlines())


def _yaml(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
