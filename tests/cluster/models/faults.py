"""What makes a version bad: it fails on some rows, it is slow, or int8 breaks it. All are right in fp32 offline tests.

The first two faults put a stage in front of a healthy graph; right answers stay exactly those of the healthy version.
"""

from __future__ import annotations

import copy

import numpy as np
import onnx
from numpy import typing as npt
from onnx import TensorProto, helper, numpy_helper
from sklearn import pipeline
from tests.cluster.models import digits, export

INK_BINS = 32
FAILING_SHARE = 0.2
# About 0.65 us an iteration: the price is ONNX Runtime's bookkeeping, so wide vector units do not shorten it.
LOOP_ITERATIONS = 100_000
SCALE_EXPONENTS = (-6, 7)

Bools = npt.NDArray[np.bool_]


def ink_limit() -> float:
    """Sum of pixels at which the ink table of `with_short_table` ends: a fifth of the training rows is beyond it."""
    return float(np.quantile(digits.split().train.sum(axis=1, dtype=np.float64), 1 - FAILING_SHARE))


def beyond_table(rows: digits.Rows) -> Bools:
    """Which rows make `with_short_table` fail."""
    return np.asarray(rows.sum(axis=1, dtype=np.float64) * (INK_BINS / ink_limit()) >= INK_BINS)


def with_short_table(healthy: onnx.ModelProto) -> onnx.ModelProto:
    """Look up a gain by ink in a table that was made from light digits: for dark rows Gather's index is out of bounds.

    The gain is 1 everywhere. A batch with one dark row fails as a whole, as graphs do. The sum is a double, which the
    quantizer leaves alone: an int8 sum would saturate at the calibrated range, and the fault would be gone.
    """
    constants = {
        "ink_axis": np.array([1], np.int64),
        "ink_bins_per_unit": np.array(INK_BINS / ink_limit(), np.float64),
        "gains": np.ones(INK_BINS, np.float32),
    }
    nodes = [
        helper.make_node("Cast", [export.INPUT], ["exact"], to=TensorProto.DOUBLE),
        helper.make_node("ReduceSum", ["exact", "ink_axis"], ["ink"], keepdims=1),
        helper.make_node("Mul", ["ink", "ink_bins_per_unit"], ["ink_position"]),
        helper.make_node("Cast", ["ink_position"], ["ink_bin"], to=TensorProto.INT64),
        helper.make_node("Gather", ["gains", "ink_bin"], ["gain"], axis=0),
        helper.make_node("Mul", [export.INPUT, "gain"], ["staged"]),
    ]
    return _behind_stage(healthy, nodes=nodes, constants=constants)


def with_marked_failures(healthy: onnx.ModelProto, *, share: float) -> onnx.ModelProto:
    """Fail on the rows whose mark, the first pixel, is in the upper `share` of its range; without a mark on none.

    That pixel is blank in every digit; `healthy` never gets to see a mark. Which share of the requests fails is up to
    whoever marks them: see tests/cluster/client/rows.py.
    """
    blank = np.ones(digits.PIXELS, np.float32)
    blank[0] = 0
    constants = {
        "mark_column": np.array([0], np.int64),
        "mark_limit": np.array(digits.WHITE * (1 - share), np.float32),
        "gains": np.ones(1, np.float32),
        "blank": blank,
    }
    nodes = [
        helper.make_node("Gather", [export.INPUT, "mark_column"], ["mark"], axis=1),
        helper.make_node("Greater", ["mark", "mark_limit"], ["marked"]),
        helper.make_node("Cast", ["marked"], ["gain_place"], to=TensorProto.INT64),
        helper.make_node("Gather", ["gains", "gain_place"], ["gain"], axis=0),
        helper.make_node("Mul", [export.INPUT, "blank"], ["unmarked"]),
        helper.make_node("Mul", ["unmarked", "gain"], ["staged"]),
    ]
    return _behind_stage(healthy, nodes=nodes, constants=constants)


def with_slow_loop(healthy: onnx.ModelProto) -> onnx.ModelProto:
    """Iterate a cosine on one number per call and add 0 times the result: slow whatever the batch, needs no memory.

    It starts from the input, so no optimizer can compute it beforehand; cosine stays finite, so 0 times it is 0.
    """
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["keep_going"], ["keep_going_out"]),
            helper.make_node("Cos", ["angle"], ["angle_out"]),
        ],
        "iteration",
        [
            helper.make_tensor_value_info("iteration_number", TensorProto.INT64, []),
            helper.make_tensor_value_info("keep_going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("angle", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("keep_going_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("angle_out", TensorProto.FLOAT, []),
        ],
    )
    constants = {
        "iterations": np.array(LOOP_ITERATIONS, np.int64),
        "always": np.array(True),
        "nothing": np.array(0, np.float32),
    }
    nodes = [
        helper.make_node("ReduceMean", [export.INPUT], ["start"], keepdims=0),
        helper.make_node("Loop", ["iterations", "always", "start"], ["end"], body=body),
        helper.make_node("Mul", ["end", "nothing"], ["zero"]),
        helper.make_node("Add", [export.INPUT, "zero"], ["staged"]),
    ]
    return _behind_stage(healthy, nodes=nodes, constants=constants)


def with_unlike_units(model: pipeline.Pipeline, *, seed: int) -> pipeline.Pipeline:
    """Scale every hidden unit by its own power of two and undo it in the next layer.

    ReLU commutes with positive factors and powers of two are exact, so fp32 answers do not change at all; int8 has one
    range per activation tensor, and units scaled down vanish in it.
    """
    scaled = copy.deepcopy(model)
    perceptron = scaled[-1]
    random = np.random.default_rng(seed)
    for layer in range(len(perceptron.coefs_) - 1):
        factors = 2.0 ** random.integers(*SCALE_EXPONENTS, size=perceptron.coefs_[layer].shape[1])
        perceptron.coefs_[layer] *= factors
        perceptron.intercepts_[layer] *= factors
        perceptron.coefs_[layer + 1] /= factors[:, None]
    return scaled


def _behind_stage(
    healthy: onnx.ModelProto, *, nodes: list[onnx.NodeProto], constants: dict[str, npt.NDArray[np.generic]]
) -> onnx.ModelProto:
    """`healthy`, reading `staged` where it read its input; `nodes` make `staged` from the input."""
    model = onnx.ModelProto()
    model.CopyFrom(healthy)
    rest = list(model.graph.node)
    for node in rest:
        node.input[:] = ["staged" if name == export.INPUT else name for name in node.input]
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    onnx.checker.check_model(model)
    return model
