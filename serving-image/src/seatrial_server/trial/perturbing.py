"""Changed copies of rows, as `tests.yaml` describes them. Pure; the same seed gives the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from seatrial_server.host import errors
from seatrial_server.model import datatypes, declared, schema, session

Feeds = dict[str, session.Array]
_Change = Callable[[session.Array], session.Array]


class Columns:
    """Where features are in the model's inputs."""

    def __init__(self, card: schema.Card, model: schema.Schema) -> None:
        self._specs = {spec.name: spec for spec in model.inputs}
        self._places: dict[str, tuple[str, int]] = {}
        used: dict[str, int] = {}
        for feature in card.features:
            name = feature.input or model.inputs[0].name
            self._places[feature.name] = (name, used.get(name, 0))
            used[name] = used.get(name, 0) + 1
        if not card.features and len(model.inputs) == 1:
            count = int(np.prod([size for size in model.row_shape(model.inputs[0]) if size != schema.FREE]))
            self._places = {str(column): (model.inputs[0].name, column) for column in range(count)}

    def find(self, feature: str, *, source: str) -> tuple[schema.TensorSpec, int]:
        """Input and column; a message names what is wrong."""
        if feature not in self._places:
            raise errors.Rejected(
                "InvalidModel", f"{source}: there is no feature {feature!r}; name features in model.yaml"
            )
        name, column = self._places[feature]
        return self._specs[name], column


def variants(
    feeds: Feeds, perturbation: declared.Perturbation, columns: Columns, *, seed: int, source: str
) -> Iterator[Feeds]:
    """Every changed copy of the rows; `rebatch` yields none, because it changes no row."""
    kinds = ("set", "add", "scale", "noise", "rebatch")
    if sum(bool(getattr(perturbation, kind)) for kind in kinds) != 1:
        raise errors.Rejected("InvalidModel", f"{source}: perturb must say exactly one of {', '.join(kinds)}")
    for feature, values in (perturbation.set or {}).items():
        for value in values:
            yield _changed(feeds, {feature: _constant(value)}, columns, source=source)
    changes = {name: _adding(delta) for name, delta in (perturbation.add or {}).items()}
    changes |= {name: _scaling(factor) for name, factor in (perturbation.scale or {}).items()}
    random = np.random.default_rng(seed)
    changes |= {name: _noise(random, sigma) for name, sigma in (perturbation.noise or {}).items()}
    if changes:
        yield _changed(feeds, changes, columns, source=source)


def _changed(feeds: Feeds, changes: dict[str, _Change], columns: Columns, *, source: str) -> Feeds:
    result = dict(feeds)
    for feature, change in changes.items():
        spec, column = columns.find(feature, source=source)
        array = result[spec.name].copy()
        flat = array.reshape(len(array), -1)
        try:
            flat[:, column] = change(flat[:, column])
        except (TypeError, ValueError, OverflowError) as error:
            raise errors.Rejected(
                "InvalidModel", f"{source}: feature {feature!r} is {spec.datatype}, which cannot be changed so: {error}"
            ) from error
        result[spec.name] = array
    return result


def _constant(value: schema.Value) -> _Change:
    return lambda values: np.full(values.shape, value, values.dtype)


def _adding(delta: float) -> _Change:
    return lambda values: _number(values) + delta


def _scaling(factor: float) -> _Change:
    return lambda values: _number(values) * factor


def _noise(random: np.random.Generator, sigma: float) -> _Change:
    return lambda values: _number(values) + random.normal(0, sigma, values.shape)


def _number(values: session.Array) -> session.Array:
    if values.dtype.kind not in "fiu":
        raise TypeError("it is no number")
    return values.astype(np.float64)


def floating(spec: schema.TensorSpec) -> bool:
    """Whether a tensor holds floating-point numbers."""
    return datatypes.BY_NAME[spec.datatype].floating
