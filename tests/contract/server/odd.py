"""Random small graphs with random packages, and what their trial may say: none breaks, no verdict is untrue.

Old opsets, fixed batches, odd types, strings, no batch dimension, several kinds of operators, against calibration,
reference and test rows that fit, nearly fit or don't.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tests.unit.server import graphs

from seatrial_server.host import errors
from seatrial_server.model import manifest, session, weights
from seatrial_server.prepare import prepare
from seatrial_server.trial import checks, probe

OUR_WORDS = ("calibration.npz", "reference.npz", "tests.yaml", "its own calibration rows", "the package's first")
"""A refusal of a sound graph names the file whose rows are at fault."""
CASES = 24
Array = np.ndarray[Any, Any]


class Case(msgspec.Struct, frozen=True):
    """`sound`: the graph answers ordinary rows. `fit`: so do all rows of the package. `large`: it counts as large."""

    model: bytes
    mode: str
    files: dict[str, dict[str, Array]]
    tests: dict[str, Any] | None
    sound: bool
    fit: bool
    large: bool


class Outcome(msgspec.Struct, frozen=True):
    """What became of a case."""

    made: manifest.Manifest | None = None
    refusal: errors.Rejected | None = None


def network(
    *, opset: int, batch: int | str | None, columns: int, kind: str = "MatMul", dtype: Any = np.float32
) -> bytes:
    """x -> y by one product and a soft-max; `batch` None: no batch dimension."""
    random = np.random.default_rng(columns)
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    shape = [columns] if batch is None else [batch, columns]
    axis = {"axis": len(shape) - 1}
    cast = [] if dtype == np.float32 else [helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT)]
    start = "x" if dtype == np.float32 else "f"
    product = [helper.make_node("MatMul", [start, "w"], ["z"])]
    if kind == "Gemm" and batch is not None:
        product = [helper.make_node("Gemm", [start, "w", "b"], ["z"])]
    graph = helper.make_graph(
        [*cast, *product, helper.make_node("Softmax", ["z"], ["y"], **axis)],
        "odd",
        [helper.make_tensor_value_info("x", element, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [*shape[:-1], 3])],
        [
            numpy_helper.from_array(random.standard_normal((columns, 3)).astype(np.float32), "w"),
            numpy_helper.from_array(random.standard_normal(3).astype(np.float32), "b"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    content: bytes = made.SerializeToString()
    return content


def _texts(columns: int) -> bytes:
    return graphs.echo(TensorProto.STRING, columns=columns)


def case(seed: int) -> Case:
    """The same for the same seed."""
    random = np.random.default_rng(seed)
    columns = int(random.integers(1, 9))
    batch: int | str | None = [None, 1, 3, "N"][random.choice(4, p=[0.1, 0.2, 0.1, 0.6])]
    dtype = [np.float32, np.float32, np.float64, np.int64, np.bool_, np.str_][random.integers(6)]
    kind = str(random.choice(["MatMul", "Gemm", "other"], p=[0.4, 0.4, 0.2]))
    sound = True
    if dtype == np.str_:
        model, batch = _texts(columns), "N"
    elif kind == "other":
        shape: list[Any] = [columns] if batch is None else [batch, columns]
        nodes, sound = _other(random, columns)
        model = graphs.model(
            nodes,
            inputs={"x": (TensorProto.FLOAT, shape)},
            outputs={"y": (TensorProto.FLOAT, list("AB")[: len(shape)])},
        ).SerializeToString()
        dtype = np.float32
    else:
        model = network(
            opset=int(random.choice([7, 10, 12, 13, 18])), batch=batch, columns=columns, kind=kind, dtype=dtype
        )
    files, fits = {}, []
    for name in ("calibration", "reference"):
        if random.random() < 0.8:
            rows, fit = anything(random, columns, dtype=dtype)
            files[name] = {"x": rows}
            fits.append(fit)
    tests = None
    if random.random() < 0.3:
        rows, fit = anything(random, columns, dtype=dtype)
        labels = random.integers(0, 3, len(rows) if rows.ndim else 1).tolist()
        plain = (
            [[str(value) for value in row] for row in rows]
            if rows.dtype.kind == "U" and rows.ndim == 2
            else rows.tolist()
        )
        tests = {"functional": [{"name": "rows", "rows": {"x": plain}, "expect": {"labels": labels, "minAccuracy": 0}}]}
        fits.append(fit and dtype != np.str_ and kind != "other")  # labels are for classifiers
    mode = str(random.choice(["Auto", "Static", "Dynamic", "None"]))
    large = random.random() < 0.3
    return Case(model=model, mode=mode, files=files, tests=tests, sound=sound, fit=all(fits), large=large)


def _other(random: np.random.Generator, columns: int) -> tuple[list[Any], bool]:
    """Nodes that are no product; the last ones fail on everything or answer NaN only."""
    return [
        ([helper.make_node("Softmax", ["x"], ["y"], axis=-1)], True),
        ([helper.make_node("Abs", ["x"], ["y"])], True),
        ([helper.make_node("CumSum", ["x", "none"], ["y"])], False),
        ([helper.make_node("Sub", ["x", "x"], ["o"]), helper.make_node("Div", ["o", "o"], ["y"])], False),
    ][random.integers(4)]


def anything(random: np.random.Generator, columns: int, *, dtype: Any = np.float32) -> tuple[Array, bool]:
    """Rows that fit, nearly fit, or don't; and whether they do."""
    shapes = [
        (random.integers(1, 40), columns),
        (1, columns),
        (0, columns),
        (5, columns + 1),
        (3, 1, columns),
        (columns,),
    ]
    place = random.choice(len(shapes), p=[0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    rows = random.standard_normal(shapes[place])
    spoil = str(random.choice(["", "nan", "inf", "huge", "constant", "text"], p=[0.4, 0.15, 0.15, 0.1, 0.1, 0.1]))
    if dtype == np.str_:
        return rows.astype(str), place < 2
    if spoil == "constant":
        rows[...] = 0.5
    elif spoil == "text":
        return rows.astype(str), False
    elif spoil and rows.size:
        rows.reshape(-1)[random.integers(rows.size)] = {"nan": np.nan, "inf": -np.inf, "huge": 1e300}[spoil]
    with np.errstate(over="ignore", invalid="ignore"):
        fitting = rows.astype(dtype if spoil == "" and random.random() < 0.8 else np.float32)
    return fitting, bool(place < 2 and spoil in ("", "constant") and fitting.dtype == dtype)


def attempt(folder: Path, given: Case) -> Outcome:
    """The trial's steps, in this process. Raises whatever isn't a verdict."""
    package, prepared = folder / "package", folder / "prepared"
    package.mkdir()
    (package / "model.onnx").write_bytes(given.model)
    for name, arrays in given.files.items():
        np.savez(package / f"{name}.npz", **arrays)  # type: ignore[arg-type]  # numpy's stubs take no mapping
    if given.tests is not None:
        (package / "tests.yaml").write_text(json.dumps(given.tests))
    folders = {"package_folder": str(package), "prepared_folder": str(prepared)}
    usual = weights.LARGE, weights.SMALL
    if given.large:
        weights.LARGE, weights.SMALL = 100, 10
    try:
        quantization = {"mode": given.mode, "minSpeedup": -1.0, "maxDisagreement": 0.5}
        prepare.build(**folders, sha256="0" * 64, quantization=quantization, expected=None)
        probe.run(**folders)
        checks.run(**folders)
    except errors.Rejected as refusal:
        return Outcome(refusal=refusal)
    finally:
        tempfile.tempdir = None  # `build` has a process of its own otherwise
        weights.LARGE, weights.SMALL = usual
    session.load(prepared / manifest.MODEL)
    return Outcome(made=manifest.read(prepared))


def fault(given: Case, outcome: Outcome) -> str:
    """What is wrong with the verdict; empty when it may stand."""
    if outcome.refusal is not None:
        named = any(words in str(outcome.refusal) for words in OUR_WORDS)
        if given.sound and given.fit:
            return f"a sound model with rows that fit is refused: {outcome.refusal}"
        return "" if named or not given.sound else f"refused without a reason to act on: {outcome.refusal}"
    if not given.sound and not given.files:
        return "a model that answers nothing passes"
    assert outcome.made is not None
    result = outcome.made.quantization
    if result.outcome not in ("Applied", "NotApplicable", "ServedOriginal", "Off"):
        return f"quantization ended as {result.outcome}"
    return "" if result.outcome in ("Applied", "Off") or result.reason else f"{result.outcome} without a reason"


def examined(seed: int) -> str:
    """One case; what is wrong with it."""
    given = case(seed)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return fault(given, attempt(Path(folder), given))
        except Exception as error:  # whatever leaves the trial breaks it
            return f"the trial breaks: {type(error).__name__}: {error}"
