"""Int8 quantization, static or dynamic. Runs in the sandbox.

Static: S8S8 QDQ, per channel, ranges from calibration rows. The served bytes are a function of the graph and of the
recorded per-tensor ranges alone, so that a pod on another CPU derives the same bytes without calibration rows. Ranges
are measured once, in the trial.
Dynamic: ranges are taken from each run's own tensor, hence from all its rows: a neighbour's outlier would change my
answer. It is only made when asked for, and the server never batches it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.version_converter
import onnxruntime as ort
import orjson
from onnxruntime import quantization
from onnxruntime.quantization import quant_utils

from seatrial_server.host import errors
from seatrial_server.model import rows as rows_
from seatrial_server.model import schema, session
from seatrial_server.prepare import verify

OPERATORS = ("Conv", "Gemm", "MatMul", "Relu", "Clip", "MaxPool", "Reshape", "Flatten", "Transpose")
"""Operators that carry int8 through; soft-max, sigmoid and norms stay in floating point."""
_HEAVY = {"Dynamic": frozenset({"Gemm", "MatMul"})}
_ALL_HEAVY = frozenset({"Conv", "Gemm", "MatMul"})
_ROWS_PER_RUN = 64
_LEAST_OPSET = 13
DYNAMIC: dict[str, Any] = {"onnxruntime": session.VERSION, "dynamic": True}
"""What takes the place of ranges when there are none."""
_MAX_CALIBRATION_BYTES = 180_000  # the ConfigMap of the pods, which carries the ranges, may have 1 MiB


class Unquantizable(Exception):
    """The quantizer cannot handle this graph; the text says why."""


def heavy(mode: str) -> frozenset[str]:
    """The operators that are worth it."""
    return _HEAVY.get(mode, _ALL_HEAVY)


def applicable(model: onnx.ModelProto, mode: str = "Static") -> bool:
    """Whether there is a matrix product or a convolution with constant weights (trees have none)."""
    constants = {tensor.name for tensor in model.graph.initializer}
    constants |= {name for node in model.graph.node if node.op_type == "Constant" for name in node.output}
    return any(node.op_type in heavy(mode) and constants & set(node.input[1:]) for node in model.graph.node)


def rows_share_scales(model: onnx.ModelProto) -> bool:
    """Whether the graph takes a range from its own input, however it came to do so."""
    return any(node.op_type.startswith("DynamicQuantize") for node in verify.nodes(model))


def optimise(source: Path, target: Path) -> None:
    """Hardware-independent graph optimisation (constant folding, fusing), as the quantizer wants it beforehand.

    Weights that are in a file beside the source are in one beside the target, and never in memory all at once.
    """
    proto = onnx.load(str(source), load_external_data=False)
    beside = any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in proto.graph.initializer)
    if _opset(proto) < _LEAST_OPSET:
        source = target.with_name("converted.onnx")
        source.write_bytes(serialize(_converted(proto)))
    del proto  # a large model once is enough
    settings = session.options(packed=False)
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    settings.optimized_model_filepath = str(target)
    if beside:
        name = target.with_suffix(".weights").name
        settings.add_session_config_entry("session.optimized_model_external_initializers_file_name", name)
        settings.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
    ort.InferenceSession(str(source), settings, providers=["CPUExecutionProvider"])
    model = onnx.load(str(target), load_external_data=False)
    _flatten_biases(model)
    quant_utils.add_pre_process_metadata(model)
    target.write_bytes(serialize(model))


def _opset(model: onnx.ModelProto) -> int:
    return max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=_LEAST_OPSET)


def _converted(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return onnx.version_converter.convert_version(model, _LEAST_OPSET)
    except Exception as error:  # the converter raises plain exceptions of every kind
        raise Unquantizable(
            f"opset {_opset(model)} can't be converted to {_LEAST_OPSET}, the first with scales per channel: "
            f"export the model with opset {_LEAST_OPSET} or later"
        ) from error


def _flatten_biases(model: onnx.ModelProto) -> None:
    """Give a Gemm's [1, N] bias the equivalent shape [N]: the quantizer of ONNX Runtime 1.32 fails on the former.

    scikit-learn's exporter writes such biases. Its per-channel bias check reads bias.shape[0] as the channel count.
    """
    biases = {node.input[2] for node in model.graph.node if node.op_type == "Gemm" and len(node.input) == 3}
    for tensor in model.graph.initializer:
        if tensor.name in biases and len(tensor.dims) == 2 and tensor.dims[0] == 1:
            del tensor.dims[0]


def measure(optimised: Path, rows: dict[str, session.Array], *, model: schema.Schema, scratch: Path) -> dict[str, Any]:
    """Per-tensor ranges over the calibration rows, as the opaque document that `apply` takes."""
    with _quiet():
        found = _calibrated(optimised, _Rows(model, rows), scratch / "calibrated.onnx")
    ranges = {name: _range(name, data) for name, data in sorted(found.items())}
    calibration = {"onnxruntime": session.VERSION, "ranges": ranges}
    if len(orjson.dumps(calibration)) > _MAX_CALIBRATION_BYTES:
        raise Unquantizable("the graph has too many tensors for the trial's report")
    return calibration


def _calibrated(optimised: Path, reader: _Rows, target: Path) -> quantization.calibrate.TensorsData:
    """The library's calibration in steps of its own: its session would copy all weights a second time."""
    calibrater = quantization.MinMaxCalibrater(
        optimised, list(OPERATORS), augmented_model_path=str(target), use_external_data_format=True
    )
    calibrater.augment_graph()
    settings = session.options(packed=False)
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    calibrater.infer_session = ort.InferenceSession(str(target), settings, providers=["CPUExecutionProvider"])
    calibrater.collect_data(reader)
    return calibrater.compute_data()


def _range(name: str, data: quantization.calibrate.TensorData) -> list[Any]:
    low, high = (np.asarray(end).reshape(-1) for end in data.range_value)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise Unquantizable(f"tensor {name!r} is NaN or infinite over the calibration rows")
    return [str(low.dtype), low.tolist()[0], high.tolist()[0]]


def apply(optimised: Path, target: Path, calibration: dict[str, Any], *, scratch: Path) -> None:
    """Write the quantized model that the recorded ranges give."""
    if calibration.get("onnxruntime") != session.VERSION:
        raise errors.Rejected(
            "InvalidModel",
            f"the trial quantized with ONNX Runtime {calibration.get('onnxruntime')}, "
            f"this image has {session.VERSION}: serve with the image of the trial, or run the trial again",
        )
    if calibration.get("dynamic"):
        _quantize_dynamic(optimised, target)
        return
    ranges = scratch / "recorded.json"
    ranges.write_bytes(orjson.dumps(_expanded(calibration["ranges"])))
    _quantize(optimised, target, ranges=ranges)


def _expanded(ranges: dict[str, list[Any]]) -> dict[str, Any]:
    def scalar(dtype: str, value: float) -> dict[str, Any]:
        return {"CLS": "numpy.array", "dtype": dtype, "data": [value]}

    data = {
        name: {"CLS": "TensorData", "lowest": scalar(dtype, low), "highest": scalar(dtype, high)}
        for name, (dtype, low, high) in ranges.items()
    }
    method = {"CLS": "CalibrationMethod", "value": "CalibrationMethod.MinMax"}
    return {"CLS": "TensorsData", "data": data, "calibration_method": method, "smooth_quant": False}


def serialize(model: onnx.ModelProto) -> bytes:
    """The same bytes for the same model, in every process."""
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantizer logs through the root logger and raises plain exceptions of every kind."""
    logging.getLogger().setLevel(logging.ERROR)
    try:
        yield
    except Exception as error:
        if errors.of_memory(error):
            raise MemoryError(str(error)) from error
        text = str(error).splitlines()[0][:300] if str(error) else repr(error)
        raise Unquantizable(f"the quantizer failed: {text}") from error
    finally:
        logging.getLogger().setLevel(logging.INFO)


def _quantize(source: Path, target: Path, *, ranges: Path) -> None:
    with _quiet():
        quantization.quantize_static(
            str(source),
            str(target),
            None,
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            calibration_cache_path=str(ranges),
        )


def _quantize_dynamic(source: Path, target: Path) -> None:
    with _quiet():
        quantization.quantize_dynamic(
            str(source),
            str(target),
            op_types_to_quantize=sorted(heavy("Dynamic")),
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
        )


class _Rows(quantization.CalibrationDataReader):  # type: ignore[misc]  # the base class is untyped
    """Hands the calibration rows to the quantizer, some at a time to bound memory."""

    def __init__(self, model: schema.Schema, rows: dict[str, session.Array]) -> None:
        self._parts = rows_.parts(model, rows, _ROWS_PER_RUN)

    def get_next(self) -> dict[str, session.Array] | None:
        part = next(self._parts, None)
        return None if part is None else part.feeds
