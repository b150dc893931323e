"""Every model of the demo by name: how it is made, what is packed with it, and the index of what was built."""

from __future__ import annotations

import functools
import hashlib
import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec
import numpy as np
import onnx
from sklearn import datasets, ensemble, model_selection
from tests.cluster.models import digits, export, faults, package

INDEX = "index.json"
CALIBRATION_ROWS = 512
TEST_ROWS = 60


class Entry(msgspec.Struct, frozen=True):
    """One built file of the store: its name in the output folder, its digest, and what it is for."""

    file: str
    sha256: str
    description: str


class Model(msgspec.Struct, frozen=True):
    """One model of the catalog; `make` returns the file's bytes."""

    file: str
    description: str
    make: Callable[[], bytes]


def build(out: pathlib.Path, *, names: Collection[str] | None = None) -> dict[str, Entry]:
    """Write the named packages (default: all) and index.json into `out`; return the index."""
    out.mkdir(parents=True, exist_ok=True)
    index = {name: _write(out, MODELS[name]) for name in (MODELS if names is None else names)}
    (out / INDEX).write_bytes(msgspec.json.format(msgspec.json.encode(index, order="sorted"), indent=2) + b"\n")
    return index


def read(out: pathlib.Path) -> dict[str, Entry]:
    """The index that `build` wrote into `out`."""
    return msgspec.json.decode((out / INDEX).read_bytes(), type=dict[str, Entry])


def _write(out: pathlib.Path, model: Model) -> Entry:
    content = model.make()
    (out / model.file).write_bytes(content)
    return Entry(file=model.file, sha256=hashlib.sha256(content).hexdigest(), description=model.description)


@functools.cache
def network_graph(seed: int) -> onnx.ModelProto:
    return export.to_onnx(digits.network(seed=seed), columns=digits.PIXELS)


def _linear() -> bytes:
    return _digits_package(_linear_graph(), min_accuracy=0.8)


def _network(seed: int) -> bytes:
    return _digits_package(network_graph(seed), min_accuracy=0.9)


def _short_table() -> bytes:
    """Calibration and tests hold light digits only, as the table's sample did; that is how it went unnoticed."""
    return _digits_package(faults.with_short_table(network_graph(1)), min_accuracy=0.9, leave_out=faults.beyond_table)


def _erring(name: str, percent: float) -> bytes:
    """Cheap to answer, because many run side by side. `name` tells versions apart that err alike."""
    graph = faults.with_marked_failures(_linear_graph(), share=percent / 100)
    return _digits_package(graph, min_accuracy=0.8, data=f"UCI handwritten digits for {name}")


@functools.cache
def _linear_graph() -> onnx.ModelProto:
    return export.to_onnx(digits.linear(), columns=digits.PIXELS)


def _slow_loop() -> bytes:
    return _digits_package(faults.with_slow_loop(network_graph(1)), min_accuracy=0.9)


def _unlike_units() -> bytes:
    unlike = faults.with_unlike_units(digits.network(seed=1), seed=0)
    return _digits_package(export.to_onnx(unlike, columns=digits.PIXELS), min_accuracy=0.9)


def _digits_package(
    graph: onnx.ModelProto,
    *,
    min_accuracy: float,
    leave_out: Callable[[digits.Rows], faults.Bools] | None = None,
    data: str = "UCI handwritten digits",
) -> bytes:
    split = digits.split()
    train, held_out, labels = split.train, split.held_out, split.held_out_labels
    like_traffic = digits.noisy(train)
    if leave_out is not None:
        train, like_traffic = train[~leave_out(train)], like_traffic[~leave_out(like_traffic)]
        keep = ~leave_out(held_out)
        held_out, labels = held_out[keep], labels[keep]
    test = package.functional_test(
        "held-out digits", rows=held_out[:TEST_ROWS], labels=labels[:TEST_ROWS], min_accuracy=min_accuracy
    )
    files = package.files(
        graph,
        description=_classification(digits.features(), labels=digits.CLASSES, data=data),
        calibration=train[:CALIBRATION_ROWS],
        tests={"functional": [test]},
        reference={export.INPUT: like_traffic},
    )
    return package.archive(files)


def _for_faint_digits() -> bytes:
    """Its reference is what comes now, a missing pixel is blank, and it must be better than what serves."""
    data = digits.split()
    held_out = digits.noisy(digits.faint(data.held_out), seed=1)
    described = [{**one, "missing": "impute", "default": 0.0} for one in digits.features()]
    test = package.functional_test(
        "held-out faint digits", rows=held_out[:TEST_ROWS], labels=data.held_out_labels[:TEST_ROWS], min_accuracy=0.9
    )
    better = {"name": "better than what serves", "dataset": "holdout", "metric": "accuracy", "against": "Stable"}
    files = package.files(
        export.to_onnx(digits.whatever_the_ink(), columns=digits.PIXELS),
        description=_classification(described, labels=digits.CLASSES, data="UCI handwritten digits, also faint"),
        calibration=digits.faint(data.train[:CALIBRATION_ROWS]),
        tests={"functional": [test], "performance": [{**better, "minGain": 0.05}]},
        reference={export.INPUT: digits.noisy(digits.faint(data.train))},
        holdout={export.INPUT: held_out, "label": data.held_out_labels},
    )
    return package.archive(files)


def _cancer_trees() -> bytes:
    """Gradient-boosted trees on the Wisconsin breast cancer set: nothing in them can be quantized."""
    data = datasets.load_breast_cancer()
    features = [{"name": str(name)} for name in data.feature_names]
    train, held_out, train_labels, held_out_labels = model_selection.train_test_split(
        data.data.astype(np.float32), data.target, test_size=0.4, random_state=0, stratify=data.target
    )
    trees = ensemble.GradientBoostingClassifier(n_estimators=60, random_state=0).fit(train, train_labels)
    test = package.functional_test(
        "held-out patients", rows=held_out[:TEST_ROWS], labels=held_out_labels[:TEST_ROWS], min_accuracy=0.9
    )
    files = package.files(
        export.to_onnx(trees, columns=train.shape[1]),
        description=_classification(features, labels=2, data="UCI breast cancer Wisconsin (diagnostic)"),
        calibration=train,
        tests={"functional": [test]},
    )
    return package.archive(files)


def _classification(features: list[dict[str, Any]], *, labels: int, data: str) -> dict[str, Any]:
    """model.yaml of a classifier with one input; `features` has one entry per column."""
    return {
        "task": "classification",
        "features": features,
        "outputs": {"label": "label", "probabilities": "probabilities"},
        "labels": list(range(labels)),
        "provenance": {"data": f"{data}, as shipped with scikit-learn"},
        "intendedUse": "Demonstrations and end-to-end tests.",
    }


ERRING = {"erring-v0": 0.0, "erring-v0.5": 0.5, "erring-v0.5b": 0.5, "erring-v5": 5.0, "erring-v100": 100.0}
"""Packages that fail on so many percent of marked requests."""


def _packed(name: str, description: str, make: Callable[[], bytes]) -> tuple[str, Model]:
    return name, Model(file=f"{name}.tar.gz", description=description, make=make)


MODELS: Mapping[str, Model] = dict(
    [
        _packed("digits-v1", "logistic regression of a pilot: decent, runs first", _linear),
        _packed("digits-v2", "better: a network that int8 does not hurt", functools.partial(_network, 1)),
        _packed("digits-v2b", "as v2, trained from another seed", functools.partial(_network, 2)),
        _packed("digits-v2c", "as v2, trained from a third seed", functools.partial(_network, 3)),
        _packed("digits-v3", "as v2, fails at run time on the darkest fifth of digits", _short_table),
        _packed("digits-v4", "as v2, far too slow", _slow_loop),
        _packed("digits-v8", "learned anew when digits had become faint: right whatever the ink", _for_faint_digits),
        _packed("digits-v5", "as v2 in fp32, wrong once quantized to int8", _unlike_units),
        *(
            _packed(
                name, f"fails at run time on {percent:g} % of marked rows", functools.partial(_erring, name, percent)
            )
            for name, percent in ERRING.items()
        ),
        _packed("cancer-trees", "gradient-boosted trees, nothing to quantize", _cancer_trees),
        (
            "digits-broken",
            Model(file="digits-broken.onnx", description="not an ONNX file", make=lambda: b"not a model\n"),
        ),
    ]
)
