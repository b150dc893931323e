"""`tests.yaml`: what a model must show in its trial, declared as data. Types only; `trial` runs them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from seatrial_server.model import schema

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


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
    """Rows come from the test itself, or from a file of rows in the package."""

    name: Name
    rows: dict[str, list[Any]] | None = None
    dataset: Literal["calibration", "reference"] | None = None
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


class Robustness(_Base, frozen=True):
    """Made-up requests, good and bad, over HTTP: the server may refuse, but never fail."""

    cases: Annotated[int, msgspec.Meta(ge=1, le=20_000)] = 500
    seed: int = 0


class Tests(_Base, frozen=True):
    """The whole file."""

    functional: Annotated[tuple[FunctionalTest, ...], msgspec.Meta(max_length=200)] = ()
    invariance: Annotated[tuple[InvarianceTest, ...], msgspec.Meta(max_length=200)] = ()
    directional: Annotated[tuple[DirectionalTest, ...], msgspec.Meta(max_length=200)] = ()
    robustness: Robustness | None = None
