"""Graphs of XGBoost, LightGBM and CatBoost, by themselves or as the last step of a scikit-learn pipeline.

onnxmltools converts the first two, CatBoost writes its own. None of them knows text or categories in a graph.
"""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

from seatrial.packing import errors, layouts, originals

LIBRARIES = frozenset({"xgboost", "lightgbm", "catboost"})


def exported(original: originals.Original, layout: layouts.Layout) -> Any:
    """The graph (an onnx.ModelProto) as the exporter writes it."""
    (one,) = layout.inputs
    if original.library == "catboost":
        return _from_catboost(original.estimator, one)
    onnxmltools = errors.needed("onnxmltools", why=f"a model of {original.library}", install="'seatrial[pack]'")
    from onnxmltools.convert.common import data_types

    types = [(one.name, data_types.FloatTensorType([None, len(one.columns)]))]
    if original.library == "xgboost":
        return onnxmltools.convert_xgboost(_without_names(original.estimator), initial_types=types)
    return onnxmltools.convert_lightgbm(original.estimator, initial_types=types, zipmap=False)


def register(estimator: Any) -> None:
    """Tell skl2onnx of the boosters inside a pipeline."""
    for step in [part for _, part in getattr(estimator, "steps", [])]:
        register(step)
        library = type(step).__module__.partition(".")[0]
        if library in ("xgboost", "lightgbm"):
            _register(type(step), library)


def _register(kind: type, library: str) -> None:
    errors.needed("onnxmltools", why=f"a model of {library}", install="'seatrial[pack]'")
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator

    classifies = kind.__name__.endswith("Classifier")
    shape = (
        shape_calculator.calculate_linear_classifier_output_shapes
        if classifies
        else shape_calculator.calculate_linear_regressor_output_shapes
    )
    if library == "xgboost":
        from onnxmltools.convert.xgboost.operator_converters import XGBoost

        convert = XGBoost.convert_xgboost
    else:
        from onnxmltools.convert.lightgbm.operator_converters import LightGbm

        convert = LightGbm.convert_lightgbm
    options: dict[str, Any] = {"nocl": [True, False], "zipmap": [True, False, "columns"]} if classifies else {}
    update_registered_converter(kind, f"{library}{kind.__name__}", shape, convert, options=options)


def _without_names(model: Any) -> Any:
    """onnxmltools reads columns as f0, f1...; names of the user's own stop it."""
    nameless = copy.deepcopy(model)
    nameless.get_booster().feature_names = None
    return nameless


def _from_catboost(model: Any, one: layouts.Input) -> Any:
    import onnx

    if model.get_cat_feature_indices():
        raise errors.CannotConvert(
            "CatBoost writes no graph of a model with cat_features: encode them as numbers before it is fitted"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model.save_model(str(path), format="onnx")
        graph = onnx.load(str(path))
    (given,) = graph.graph.input
    for node in graph.graph.node:
        node.input[:] = [one.name if name == given.name else name for name in node.input]
    given.name = one.name
    return graph
