"""Every kept model through everything that happens to one; `python -m tests.contract.server.exported` writes the table.

A cell is `yes`, or what went wrong. Answers are held against raw ONNX Runtime on the exporter's own file, and against
the library where it is a real export.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tests.contract.server import process
from tests.contract.server.models import manner
from tritonclient.utils import np_to_triton_dtype

from seatrial_server.host import config
from seatrial_server.model import datatypes, manifest, schema
from seatrial_server.trial import run as running

HERE = Path(__file__).parent / "models"
DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "models.md"
Rows = dict[str, np.ndarray[Any, Any]]
CELLS = ("schema", "REST, JSON", "REST, binary", "gRPC", "the library's answers", "trial", "trial with rows, Auto")
_CALIBRATION_ROWS = 300


class Case(msgspec.Struct, frozen=True):
    """A model with rows for it; `answers` are the library's own."""

    title: str
    content: bytes
    rows: Rows
    answers: Rows = {}


def cases() -> Iterator[Case]:
    """The kept exports, then those in the manner of others."""
    for path in sorted(HERE.glob("*.onnx")):
        with np.load(path.with_suffix(".npz")) as arrays:
            kept = {
                key: array.astype(np.object_) if array.dtype.kind == "U" else array for key, array in arrays.items()
            }
        rows = {key.removeprefix("input."): array for key, array in kept.items() if key.startswith("input.")}
        answers = {key: array for key, array in kept.items() if not key.startswith("input.")}
        yield Case(path.stem, path.read_bytes(), rows, answers)
    for title, make in manner.ALL.items():
        content, rows = make()
        yield Case(title, content, rows)


def measure(case: Case, folder: Path) -> dict[str, str]:
    """The cells of one model, and its row axis."""
    results: dict[str, str] = {}
    report, _ = _trial(case, folder / "bare", with_rows=False)
    results["trial"] = _passed(report)
    report, made = _trial(case, folder / "package", with_rows=True)
    quantization = report.quantization
    excused = quantization.outcome in ("Applied", "NotApplicable") or quantization.reason
    results["trial with rows, Auto"] = _passed(report) if excused else f"{quantization.outcome} without a reason"
    (folder / "model.onnx").write_bytes(case.content)
    with process.serving(folder / "model.onnx") as server:
        asked = _Asked(case, server)
        for cell, ask in (("REST, JSON", asked.json), ("REST, binary", asked.binary), ("gRPC", asked.grpc)):
            results[cell] = _tried(ask)
        results["schema"], results["the library's answers"] = _tried(asked.schema), _tried(asked.library)
    axis = made.model.axis if made else schema.Axis("none")
    return {"rows": {"free": "any number", "fixed": str(axis.size), "none": "none"}[axis.kind], **results}


def _passed(report: Any) -> str:
    return "yes" if report.outcome == "Passed" else report.message


def _tried(check: Callable[[], str]) -> str:
    try:
        return check() or "yes"
    except Exception as error:  # a client's or an assertion's word is the cell
        return f"{type(error).__name__}: {error}"[:200]


def _trial(case: Case, work: Path, *, with_rows: bool) -> tuple[Any, manifest.Manifest | None]:
    package = work / "package"
    package.mkdir(parents=True)
    (package / "model.onnx").write_bytes(case.content)
    if with_rows:
        plain = {
            name: array.astype(np.str_) if array.dtype == np.object_ else array for name, array in case.rows.items()
        }
        times = -(-_CALIBRATION_ROWS // len(next(iter(plain.values()))))
        many: Any = {name: np.concatenate([array] * times) for name, array in plain.items()}
        np.savez(package / "calibration.npz", **many)
    settings = config.Config(
        model=config.ModelRef(name="m", version="1", uri="pvc://c/m", sha256="0" * 64),
        quantization=config.Quantization(min_speedup=-0.99, max_disagreement=0.2),
    )
    report = running.run(settings, work, fetched=True)
    return report, manifest.read(work / "prepared") if report.outcome == "Passed" else None


class _Asked:
    """One model's server and what raw ONNX Runtime says."""

    def __init__(self, case: Case, server: process.Server) -> None:
        self._case, self._server = case, server
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 4
        self._raw: onnxruntime.InferenceSession | None = None
        if b"StringNormalizer" not in case.content:  # asks for a locale that a slim machine lacks
            self._raw = onnxruntime.InferenceSession(case.content, settings)
        with triton_http.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
            self._described = client.get_model_metadata("model")
        self._outputs = [output["name"] for output in self._described["outputs"]]

    def _feeds(self, rows: Rows) -> Rows:
        """Three rows where the model takes them, else as many as it takes."""
        shapes = {spec["name"]: spec["shape"] for spec in self._described["inputs"]}
        whole = all(array.ndim > len(shapes[name]) for name, array in rows.items())
        first = {shape[0] for shape in shapes.values() if shape}
        count = 3 if first == {-1} else 1
        return {name: array[0] if whole else array[:count] for name, array in rows.items()}

    def _wanted(self, feeds: Rows) -> list[np.ndarray[Any, Any]]:
        if self._raw is None:
            return []
        return [_tensor(output) for output in self._raw.run(None, feeds)]

    def _compare(self, answer: Any, feeds: Rows) -> str:
        for name, wanted in zip(self._outputs, self._wanted(feeds), strict=self._raw is not None):
            got = answer.as_numpy(name)
            if got.dtype == np.object_:
                got = np.array([_text(value) for value in got.reshape(-1)]).reshape(got.shape)
            same = np.allclose(got, wanted, rtol=1e-6) if wanted.dtype.kind == "f" else (got == wanted).all()
            if got.shape != wanted.shape or not same:
                return f"output {name} is {got}, not {wanted}"
        return ""

    def _http(self, *, binary: bool) -> str:
        feeds = self._feeds(self._case.rows)
        if not binary:  # this client writes NaN where JSON has null
            feeds = {name: np.nan_to_num(array) if array.dtype.kind == "f" else array for name, array in feeds.items()}
        inputs = []
        for name, array in feeds.items():
            inputs.append(triton_http.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)))
            inputs[-1].set_data_from_numpy(array, binary_data=binary)
        outputs = [triton_http.InferRequestedOutput(name, binary_data=binary) for name in self._outputs]
        with triton_http.InferenceServerClient(f"127.0.0.1:{self._server.port}") as client:
            return self._compare(client.infer("model", inputs, outputs=outputs), feeds)

    def json(self) -> str:
        """tritonclient, JSON both ways."""
        return self._http(binary=False)

    def binary(self) -> str:
        """tritonclient, binary both ways."""
        return self._http(binary=True)

    def _over_grpc(self, feeds: Rows) -> Any:
        inputs = []
        for name, array in feeds.items():
            inputs.append(triton_grpc.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)))
            inputs[-1].set_data_from_numpy(array)
        with triton_grpc.InferenceServerClient(self._server.grpc) as client:
            return client.infer("model", inputs)

    def grpc(self) -> str:
        """tritonclient over gRPC."""
        feeds = self._feeds(self._case.rows)
        return self._compare(self._over_grpc(feeds), feeds)

    def library(self) -> str:
        """All rows, against the library."""
        answers = self._case.answers
        if not answers:
            return "-"
        answer = self._over_grpc(self._case.rows)
        found = [answer.as_numpy(name) for name in self._outputs]
        if "number" in answers:
            return "" if np.allclose(found[0].reshape(-1), answers["number"], rtol=1e-4, atol=1e-4) else f"{found[0]}"
        labels = [_text(value) for value in found[0].reshape(-1).tolist()]
        if labels != answers["label"].tolist():
            return f"labels {labels}"
        return "" if np.allclose(found[1], answers["scores"], rtol=1e-3, atol=1e-4) else f"scores {found[1]}"

    def schema(self) -> str:
        """Names, datatypes and shapes are those of the graph, or of its answers; a map is its scores."""
        if self._raw is None:
            return "" if self._outputs == ["output_label", "output_probability"] else f"{self._outputs}"
        real = dict(zip(self._outputs, self._wanted(self._feeds(self._case.rows)), strict=True))
        for described, nodes in (("inputs", self._raw.get_inputs()), ("outputs", self._raw.get_outputs())):
            for tensor, node in zip(self._described[described], nodes, strict=True):
                if tensor["name"] != node.name:
                    return f"{tensor['name']} is not {node.name}"
                if node.type.startswith("seq"):
                    assert tensor["parameters"]["labels"], tensor
                elif tensor["datatype"] != datatypes.BY_ONNX[node.type].name or not _told(
                    tensor, node, real.get(node.name)
                ):
                    return f"{tensor} is not {node.type} {node.shape}"
        return ""


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _told(tensor: dict[str, Any], node: Any, real: np.ndarray[Any, Any] | None) -> bool:
    """Whether the shape is the graph's, or true where the graph's is not (some exporters write [1] for any number)."""
    told, declared = tensor["shape"], [size if isinstance(size, int) else -1 for size in node.shape]
    return bool(told == declared if real is None or _fits(declared, real) else _fits(told, real))


def _fits(shape: list[int], array: np.ndarray[Any, Any]) -> bool:
    return len(shape) == array.ndim and all(size in (-1, real) for size, real in zip(shape, array.shape, strict=True))


def _tensor(output: Any) -> np.ndarray[Any, Any]:
    """A sequence of maps as the array that went into it."""
    if isinstance(output, list):
        return np.array([list(row.values()) for row in output], np.float32)
    return np.asarray(output)


def line(title: str, row: dict[str, str]) -> str:
    """A line of the table."""
    return f"| {title} | {' | '.join(row[column] for column in ('rows', *CELLS))} |"


def document(table: dict[str, dict[str, str]]) -> str:
    """The page."""
    versions = json.loads((HERE / "versions.json").read_text())
    made = ", ".join(f"{name} {version}" for name, version in versions.items())
    columns = ("rows", *CELLS)
    lines = [line(title, row) for title, row in table.items()]
    return f"""# Models that are tested

Written by `python -m tests.contract.server.exported`; edits are lost. Every cell is a test.

| exported by | {" | ".join(columns)} |
|---|{"---|" * len(columns)}
{chr(10).join(lines)}

The first are files of the real exporters, all options as they are by default ({made}), kept with the script that makes
them (`tests/contract/server/models/make.py`); the others are made by hand in the manner of exporters that are too large
to run here.

*rows*: what the trial found the first dimension to be: rows in any number, so many in every call, or none. *schema*:
names, datatypes and shapes of the metadata are the graph's, or those of its answers where an exporter writes others
(LightGBM's, CatBoost's); maps of scores are served as tensors, with the classes in the metadata. *REST* and
*gRPC*: tritonclient, against raw ONNX Runtime. *the library's answers*: labels and scores, or numbers, as the library
itself gives them. *trial*: a bare `.onnx`. *trial with rows, Auto*: a package with `calibration.npz`, quantized or
served as it is with a reason.
"""


def table() -> dict[str, dict[str, str]]:
    """All cells."""
    result = {}
    for case in cases():
        with tempfile.TemporaryDirectory() as folder:
            result[case.title] = measure(case, Path(folder))
    return result


if __name__ == "__main__":
    DOCUMENT.write_text(document(table()))
