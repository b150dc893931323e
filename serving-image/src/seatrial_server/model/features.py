"""Columns of an input as `model.yaml` describes them: what a value may be, and what happens to one that may not.

Checks the description against the graph, once, in the trial. Knows no numpy and no request: `validation` does the work.
"""

from __future__ import annotations

import math
from collections.abc import Set

import msgspec

from seatrial_server.host import errors
from seatrial_server.model import datatypes, schema


def by_input(features: tuple[schema.Feature, ...], model: schema.Schema) -> dict[str, tuple[schema.Feature, ...]]:
    """The described inputs with their columns in order; refuses what does not fit the graph."""
    result: dict[str, list[schema.Feature]] = {}
    for feature in features:
        result.setdefault(feature.input or _only_input(model), []).append(feature)
    specs = {spec.name: spec for spec in model.inputs}
    for name, columns in result.items():
        if name not in specs:
            raise _invalid(f"the model has no input {name!r}")
        _check_columns(specs[name], columns, model.row_shape(specs[name]))
        for feature in columns:
            _check(feature, specs[name])
    return {name: tuple(columns) for name, columns in result.items()}


def settled(
    features: tuple[schema.Feature, ...], model: schema.Schema, missing: Set[str]
) -> tuple[schema.Feature, ...]:
    """The features, with what the graph is made for where nothing is said about missing values."""
    return tuple(
        msgspec.structs.replace(feature, missing="allow")
        if feature.missing is None and (feature.input or model.inputs[0].name) in missing
        else feature
        for feature in features
    )


def nullable(
    features: tuple[schema.Feature, ...], model: schema.Schema, missing: Set[str] = frozenset()
) -> frozenset[str]:
    """Inputs in which JSON may say null. `missing`: those of which nothing is said, and whose graph is made for it."""
    told = {feature.input or _only_input(model) for feature in features}
    allowed = {feature.input or _only_input(model) for feature in features if feature.missing in ("impute", "allow")}
    return frozenset(allowed | (missing - told))


def _only_input(model: schema.Schema) -> str:
    if len(model.inputs) == 1:
        return model.inputs[0].name
    raise _invalid("each feature must name its input, because the model has several")


def _check_columns(spec: schema.TensorSpec, columns: list[schema.Feature], shape: tuple[int, ...]) -> None:
    count = math.prod(shape)
    if schema.FREE in shape or count != len(columns):
        raise _invalid(
            f"input {spec.name!r} has shape {list(spec.shape)}; features must list every column once, "
            f"but lists {len(columns)}"
        )
    names = [feature.name for feature in columns]
    if len(set(names)) != len(names):
        raise _invalid(
            f"input {spec.name!r} has two features {next(name for name in names if names.count(name) > 1)!r}"
        )


def _check(feature: schema.Feature, spec: schema.TensorSpec) -> None:
    label = f"feature {feature.name!r}"
    if feature.range and feature.categories:
        raise _invalid(f"{label}: give range or categories, not both")
    if not feature.lowest <= feature.highest:
        raise _invalid(f"{label}: range must be [lowest, highest]")
    if (feature.range and spec.datatype in ("BYTES", "BOOL")) or (feature.categories and spec.datatype == "BOOL"):
        raise _invalid(
            f"{label}: a range needs a numeric input, categories any but BOOL; {spec.name!r} is {spec.datatype}"
        )
    if any(not _fits(value, spec) for value in feature.categories):
        raise _invalid(f"{label}: categories must be {spec.datatype}")
    if feature.policy == "clip" and not feature.range:
        raise _invalid(f"{label}: policy clip needs a range")
    if feature.missing == "allow" and not datatypes.BY_NAME[spec.datatype].floating:
        raise _invalid(
            f"{label}: only floats can be missing and still reach the model; {spec.name!r} is {spec.datatype}"
        )
    if feature.missing == "impute" and not (spec.datatype == "BYTES" or datatypes.BY_NAME[spec.datatype].floating):
        raise _invalid(f"{label}: {spec.datatype} cannot say that a value is missing; only floats and BYTES can")
    if "impute" in (feature.policy, feature.missing):
        _check_default(feature, spec)


def _check_default(feature: schema.Feature, spec: schema.TensorSpec) -> None:
    value, label = feature.default, f"feature {feature.name!r}"
    if value is None or not _fits(value, spec):
        raise _invalid(f"{label}: impute needs a default that is {spec.datatype}")
    outside = feature.range and not feature.lowest <= float(value) <= feature.highest
    if outside or (feature.categories and value not in feature.categories):
        raise _invalid(f"{label}: the default must be {feature.bound}")


def _fits(value: schema.Value, spec: schema.TensorSpec) -> bool:
    if spec.datatype == "BYTES":
        return isinstance(value, str)
    if isinstance(value, str) or not math.isfinite(value):
        return False
    return datatypes.BY_NAME[spec.datatype].floating or float(value).is_integer()


def _invalid(message: str) -> errors.Rejected:
    return errors.Rejected("InvalidModel", f"model.yaml: {message}")
