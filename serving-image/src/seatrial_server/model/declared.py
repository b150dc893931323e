"""`tests.yaml`: what a model must show in its trial, declared as data. Types only; `trial` runs them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from seatrial_server.model import schema

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
DatasetName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][-A-Za-z0-9._]{0,62}$")]
"""A file of rows in the package without its `.npz`, or one of `spec.trial.datasets`."""
IN_PACKAGE = ("holdout", "regressions", "reference", "calibration")


class _Base(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Unknown fields are mistakes."""


class Expectation(_Base, frozen=True):
    """The labels that the rows should get, and the share that must be right."""

    labels: tuple[int | str, ...]
    min_accuracy: Share = 1.0


class Slices(_Base, frozen=True):
    """The same for every category of a feature that has enough rows."""

    by: str
    min_accuracy: Share
    min_rows: Annotated[int, msgspec.Meta(ge=1)] = 20


class FunctionalTest(_Base, frozen=True):
    """Minimum functionality: rows (one array per input) with an expectation."""

    name: Name
    rows: dict[str, list[Any]]
    expect: Expectation
    slices: Slices | None = None


class Perturbation(_Base, frozen=True):
    """Exactly one way to change rows. Features are named as in `model.yaml`, or by column number without it.

    `set` tries each of the values, `add` and `scale` change numbers, `noise` adds a normal distribution of that
    deviation, `rebatch` changes nothing but how many rows run together.
    """

    set: dict[str, tuple[schema.Value, ...]] | None = None
    add: dict[str, float] | None = None
    scale: dict[str, float] | None = None
    noise: dict[str, Annotated[float, msgspec.Meta(gt=0)]] | None = None
    rebatch: tuple[Annotated[int, msgspec.Meta(ge=1, le=1024)], ...] | None = None


class _Perturbed(_Base, frozen=True, kw_only=True):
    """Rows come from the test itself, or from a dataset."""

    name: Name
    rows: dict[str, list[Any]] | None = None
    dataset: DatasetName | None = None
    max_rows: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    seed: int = 0
    perturb: Perturbation
    max_fail_rate: Share = 0.0


class InvarianceTest(_Perturbed, frozen=True, kw_only=True):
    """The answer must stay: the same label, or a number within a hundredth of the range; scores within `maxDelta`."""

    max_delta: Annotated[float, msgspec.Meta(ge=0)] | None = None


class DirectionalTest(_Perturbed, frozen=True, kw_only=True):
    """An output must not fall, or must not rise. `column` is a label of `model.yaml` or a number."""

    output: str = ""
    column: int | str = 0
    direction: Literal["nonDecreasing", "nonIncreasing"]
    tolerance: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class _OnDataset(_Base, frozen=True, kw_only=True):
    """All rows of a dataset, or evenly spread ones of a long one."""

    name: Name
    dataset: DatasetName


class Parity(_Base, frozen=True):
    """The answers in the dataset's arrays `expected:<output>` must come again."""

    max_delta: NotNegative = 1e-4
    max_fail_rate: Share = 0.0


class DataTest(_OnDataset, frozen=True, kw_only=True):
    """What rows must be like, in exactly one way.

    `accepted`: the share that the server's own checks let through. `feature` with `within`: values between two bounds.
    `against`: every feature is distributed as in the reference, up to `maxDistance` of the rows. `parity`: see there.
    """

    accepted: Share | None = None
    feature: str = ""
    within: tuple[float | None, float | None] | None = None
    min_share: Share = 1.0
    against: Literal["reference"] | None = None
    max_distance: Annotated[float, msgspec.Meta(gt=0, lt=0.9)] = 0.1
    parity: Parity | None = None


Metric = Literal[
    "accuracy",
    "balancedAccuracy",
    "f1",
    "recall",
    "auc",
    "logLoss",
    "brier",
    "calibrationError",
    "mae",
    "rmse",
    "selectionRate",
    "truePositiveRate",
    "falsePositiveRate",
]


class PerformanceTest(_OnDataset, frozen=True, kw_only=True):
    """A metric against a bound, of all rows or (`by`) of the worst group; or against the stable version's, row by row.

    `label`: the class that recall, auc and f1 are about; of two classes the second is meant.
    """

    metric: Metric
    label: int | str | None = None
    min: float | None = None
    max: float | None = None
    against: Literal["Stable"] | None = None
    max_drop: NotNegative | None = None
    min_gain: float | None = None
    by: str = ""
    min_rows: Annotated[int, msgspec.Meta(ge=1)] = 50


class RegressionTest(_OnDataset, frozen=True, kw_only=True):
    """Rows that were once answered wrongly. `tolerance`: how far a number may be from what is right."""

    dataset: DatasetName = "regressions"
    min_share: Share = 1.0
    tolerance: NotNegative | None = None


class FairnessTest(_OnDataset, frozen=True, kw_only=True):
    """A rate must be alike in all groups: no more than `maxGap` apart, no less than `minRatio` of the highest."""

    by: str
    metric: Literal["selectionRate", "truePositiveRate", "falsePositiveRate", "accuracy"]
    label: int | str | None = None
    max_gap: Share | None = None
    min_ratio: Share | None = None
    min_rows: Annotated[int, msgspec.Meta(ge=1)] = 50


class Robustness(_Base, frozen=True):
    """Made-up requests, good and bad, over HTTP: the server may refuse, but never fail."""

    cases: Annotated[int, msgspec.Meta(ge=1, le=20_000)] = 500
    seed: int = 0


class Tests(_Base, frozen=True):
    """The whole file."""

    functional: Annotated[tuple[FunctionalTest, ...], msgspec.Meta(max_length=200)] = ()
    invariance: Annotated[tuple[InvarianceTest, ...], msgspec.Meta(max_length=200)] = ()
    directional: Annotated[tuple[DirectionalTest, ...], msgspec.Meta(max_length=200)] = ()
    data: Annotated[tuple[DataTest, ...], msgspec.Meta(max_length=200)] = ()
    performance: Annotated[tuple[PerformanceTest, ...], msgspec.Meta(max_length=200)] = ()
    regressions: Annotated[tuple[RegressionTest, ...], msgspec.Meta(max_length=200)] = ()
    fairness: Annotated[tuple[FairnessTest, ...], msgspec.Meta(max_length=200)] = ()
    robustness: Robustness | None = None

    @property
    def datasets(self) -> frozenset[str]:
        """Those outside of the package."""
        perturbed: tuple[_Perturbed, ...] = (*self.invariance, *self.directional)
        whole: tuple[_OnDataset, ...] = (*self.data, *self.performance, *self.regressions, *self.fairness)
        named = {one.dataset for one in perturbed if one.dataset} | {one.dataset for one in whole}
        return frozenset(named) - frozenset(IN_PACKAGE)

    @property
    def against_stable(self) -> bool:
        """Whether the stable version's package is needed."""
        return any(test.against is not None for test in self.performance)
