"""From a fitted scikit-learn classifier to ONNX: input `features`, outputs `label` (INT64) and `probabilities` (FP32).

Names, opset and graph name are fixed, so equal weights give equal bytes.
"""

from __future__ import annotations

import onnx
import skl2onnx
from skl2onnx.common import data_types
from sklearn import pipeline

INPUT = "features"
OPSET = {"": 17, "ai.onnx.ml": 3}


def to_onnx(model: pipeline.Pipeline, *, columns: int) -> onnx.ModelProto:
    graph: onnx.ModelProto = skl2onnx.convert_sklearn(
        model,
        name="classifier",  # without a name skl2onnx invents a random one
        initial_types=[(INPUT, data_types.FloatTensorType([None, columns]))],
        options={id(model): {"zipmap": False}},
        target_opset=OPSET,
    )
    graph.opset_import.sort(key=lambda opset: opset.domain)  # skl2onnx keeps them in a set
    onnx.checker.check_model(graph)
    return graph
