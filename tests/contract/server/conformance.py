"""Every client, in every way of sending, for every datatype, against a real server and raw ONNX Runtime.

    python -m tests.contract.server.conformance > docs/reference/clients.md

writes the table; a contract test measures it again and compares.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from onnx import TensorProto
from tests.contract.server import clients, process
from tests.contract.server.process import Server
from tests.unit.server import graphs

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = ROOT / "docs" / "reference" / "clients.md"
KSERVE = ROOT / ".venv-kserve" / "bin" / "python"
PROBE = Path(__file__).with_name("kserve_probe.py")
ROWS = 200  # enough for an answer that is worth compressing
Array = np.ndarray[Any, Any]
Call = Callable[[Server, str, Array], Array]
Results = dict[str, dict[str, str]]
"""Way of sending -> datatype -> "yes", or what went wrong."""


class Case(msgspec.Struct, frozen=True):
    """One datatype: an echo model of it and values that reach its limits."""

    datatype: str
    kind: int
    values: Array

    @property
    def graph(self) -> bytes:
        return graphs.echo(self.kind)


def _integers(name: str, kind: int, dtype: str) -> Case:
    limits = np.iinfo(dtype)
    values = np.random.default_rng(0).integers(limits.min, limits.max, (ROWS, 2), dtype, endpoint=True)
    values[0] = limits.min, limits.max
    return Case(name, kind, values)


def _floats(name: str, kind: int, dtype: str) -> Case:
    limits = np.finfo(dtype)
    values = np.random.default_rng(0).standard_normal((ROWS, 2)).astype(dtype)
    values[0], values[1] = (limits.min, limits.max), (limits.smallest_subnormal, -0.0)
    return Case(name, kind, values)


def _texts() -> Case:
    texts = [["", "grüße"], ['"\\\n', "\x00"], *[[f"row {row}", "x" * (row % 7)] for row in range(ROWS - 2)]]
    return Case("BYTES", TensorProto.STRING, np.array(texts, np.object_))


CASES = (
    Case("BOOL", TensorProto.BOOL, np.random.default_rng(0).integers(0, 2, (ROWS, 2)).astype(np.bool_)),
    _integers("INT8", TensorProto.INT8, "int8"),
    _integers("INT16", TensorProto.INT16, "int16"),
    _integers("INT32", TensorProto.INT32, "int32"),
    _integers("INT64", TensorProto.INT64, "int64"),
    _integers("UINT8", TensorProto.UINT8, "uint8"),
    _integers("UINT16", TensorProto.UINT16, "uint16"),
    _integers("UINT32", TensorProto.UINT32, "uint32"),
    _integers("UINT64", TensorProto.UINT64, "uint64"),
    _floats("FP16", TensorProto.FLOAT16, "float16"),
    _floats("FP32", TensorProto.FLOAT, "float32"),
    _floats("FP64", TensorProto.DOUBLE, "float64"),
    _texts(),
)


@contextlib.contextmanager
def fleet() -> Iterator[Mapping[str, Server]]:
    """A server process for each datatype."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {}
        for case in CASES:
            path = folder / f"{case.datatype}.onnx"
            path.write_bytes(case.graph)
            servers[case.datatype] = stack.enter_context(process.serving(path, "--name", "model"))
        yield servers


def expected(case: Case) -> Array:
    """What raw ONNX Runtime answers."""
    session = onnxruntime.InferenceSession(case.graph, providers=["CPUExecutionProvider"])
    outputs: list[Array] = session.run(["y"], {"x": case.values})
    return outputs[0]


def _triton_http(*, given: bool, wanted: bool, packing: str | None = None) -> Call:
    """`given` and `wanted` say whether the tensors are binary."""

    def call(server: Server, datatype: str, values: Array) -> Array:
        tensor = triton_http.InferInput("x", list(values.shape), datatype)
        tensor.set_data_from_numpy(values, binary_data=given)
        with triton_http.InferenceServerClient(server.url.removeprefix("http://")) as client:
            answer = client.infer(
                "model",
                [tensor],
                outputs=[triton_http.InferRequestedOutput("y", binary_data=wanted)],
                request_compression_algorithm=packing,
                response_compression_algorithm=packing,
            )
        result: Array = answer.as_numpy("y")
        return result

    return call


def _triton_grpc(*, packing: str | None = None) -> Call:
    def call(server: Server, datatype: str, values: Array) -> Array:
        tensor = triton_grpc.InferInput("x", list(values.shape), datatype)
        tensor.set_data_from_numpy(values)
        with triton_grpc.InferenceServerClient(server.grpc) as client:
            result: Array = client.infer("model", [tensor], compression_algorithm=packing).as_numpy("y")
        return result

    return call


TRITON: dict[str, Call] = {
    "tritonclient REST, JSON": _triton_http(given=False, wanted=False),
    "tritonclient REST, binary": _triton_http(given=True, wanted=True),
    "tritonclient REST, JSON in, binary out": _triton_http(given=False, wanted=True),
    "tritonclient REST, binary in, JSON out": _triton_http(given=True, wanted=False),
    "tritonclient REST, JSON, gzip": _triton_http(given=False, wanted=False, packing="gzip"),
    "tritonclient REST, JSON, deflate": _triton_http(given=False, wanted=False, packing="deflate"),
    "tritonclient REST, binary, gzip": _triton_http(given=True, wanted=True, packing="gzip"),
    "tritonclient REST, binary, deflate": _triton_http(given=True, wanted=True, packing="deflate"),
    "tritonclient gRPC": _triton_grpc(),
    "tritonclient gRPC, gzip": _triton_grpc(packing="gzip"),
    "tritonclient gRPC, deflate": _triton_grpc(packing="deflate"),
}
"""tritonclient's ways of sending; kserve's are in kserve_probe."""


def measure_triton(servers: Mapping[str, Server]) -> Results:
    """Both of tritonclient's libraries."""
    return {
        way: {case.datatype: _outcome(call, servers[case.datatype], case) for case in CASES}
        for way, call in TRITON.items()
    }


def _outcome(call: Call, server: Server, case: Case) -> str:
    try:
        found = call(server, case.datatype, case.values)
    except Exception as error:  # whatever a client raises is a cell of the table
        return str(error)
    return _compared(found, case)


def _compared(found: Array, case: Case) -> str:
    wanted = expected(case)
    if found.shape != wanted.shape:
        return f"shape {found.shape}"
    if case.datatype == "BYTES":
        texts = [value.decode() if isinstance(value, bytes) else value for value in found.reshape(-1)]
        return "yes" if texts == wanted.reshape(-1).tolist() else "other values"
    return "yes" if found.dtype == wanted.dtype and found.tobytes() == wanted.tobytes() else "other values"


def measure_kserve(servers: Mapping[str, Server]) -> Results:
    """The kserve client, in its own environment: one run for all datatypes."""
    task = {
        case.datatype: {
            "rest": servers[case.datatype].url,
            "grpc": servers[case.datatype].grpc,
            "shape": case.values.shape,
            "dtype": case.values.dtype.str,
            "data": _portable(case.values),
        }
        for case in CASES
    }
    finished = subprocess.run(
        [KSERVE, "-W", "ignore", PROBE],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if finished.returncode:
        raise AssertionError(finished.stderr)
    answers = json.loads(finished.stdout.splitlines()[-1])
    return {way: {case.datatype: _read(found[case.datatype], case) for case in CASES} for way, found in answers.items()}


def _portable(values: Array) -> Any:
    return values.reshape(-1).tolist() if values.dtype == np.object_ else values.tobytes().hex()


def _read(found: Mapping[str, Any], case: Case) -> str:
    if "error" in found:
        return str(found["error"])
    if case.datatype == "BYTES":
        array = np.array(found["data"], np.object_)
    else:
        array = np.frombuffer(bytes.fromhex(found["data"]), found["dtype"])
    return _compared(array.reshape(found["shape"]), case)


def table(results: Results) -> str:
    """Markdown; a cell that isn't "yes" refers to a note with the reason."""
    notes: dict[str, int] = {}
    lines = ["| | " + " | ".join(case.datatype for case in CASES) + " |", "|---" * (len(CASES) + 1) + "|"]
    for way, cells in results.items():
        shown = [
            "yes" if cells[case.datatype] == "yes" else f"no [{notes.setdefault(cells[case.datatype], len(notes) + 1)}]"
            for case in CASES
        ]
        lines.append(f"| {way} | " + " | ".join(shown) + " |")
    return "\n".join([*lines, "", *(f"{number}. {text}" for text, number in notes.items())])


def document(results: Results) -> str:
    """The whole page."""
    head, tail = _PAGE.split("TABLE")
    versions = f"tritonclient {importlib.metadata.version('tritonclient')}, kserve {_kserve_version()}"
    return head.replace("VERSIONS", versions) + table(results) + tail.replace("CLIENTS", clients.table())


def _kserve_version() -> str:
    return (ROOT / "requirements" / "kserve-client.in").read_text().strip().removeprefix("kserve==")


_PAGE = """# Which client works

Written by `python -m tests.contract.server.conformance`; a contract test measures the table again. VERSIONS.

"yes": 200 rows that reach the datatype's limits go there and back, and the answer is bit for bit that of raw ONNX
Runtime. Both clients also read health, metadata and errors; tritonclient reads the repository index, the
configuration and the statistics as well.

TABLE

## Clients of HTTP and gRPC

"yes": on one client, connections kept, the model's metadata, rows, a mistake and a body of 300 KB get their answers in
order; with TLS by a certificate of an authority that the client trusts. Over TLS the server speaks HTTP/1.1 as well.

CLIENTS

## What to know

- REST answers on port 8080, gRPC on 8081, metrics on 8082. Server, model and repository calls need no version; an
  unknown model or version is 404 (gRPC: NOT_FOUND).
- FP16 needs a binary tensor over REST: JSON has no half precision. BF16 is not spoken.
- BYTES elements are UTF-8, because ONNX strings are.
- gRPC answers always carry raw contents, which is all that tritonclient reads. The message limit is
  `limits.maxBodyBytes` (64 MiB), also for what a compressed message unpacks to.
- HTTP connections end after about two minutes, between two requests: so a promoted version has all traffic by then,
  well within its soak, whatever clients keep. gRPC connections end with GOAWAY after about ten seconds and are opened
  again by the client, without a lost call: so a stopping pod is left in time. With Relay no share depends on it.
- While several clients call over gRPC, calls wait up to two milliseconds for each other: grpcio's cost per run of the
  model falls by more than half. REST, which has no such cost, waits for nothing and is several times faster.
- Over REST a request of one row without an `id` in its body is the quickest, JSON and binary, see
  [how the server works](../explanation/speed.md). Headers may change with every request (`X-Request-Id`, `traceparent`,
  what a gateway adds); an `id` in the body costs a few microseconds.
- An offer of another protocol (`Upgrade: h2c`, as Java's HttpClient sends) is declined by an answer over HTTP/1.1.
- REST bodies may be gzip or deflate; answers over 1400 bytes are compressed when `Accept-Encoding` asks for it.
- The request parameter `timeout` (microseconds) and the deadline of a gRPC call shorten the server's own.
- Errors are `{"error", "code", ...}`; over gRPC the code and what follows are JSON in the trailer `error-details`.
- Every answer of a pod, errors included, carries the header `seatrial-revision`, over gRPC in its trailing metadata:
  which of the revisions behind the address it was. Only what grpcio refuses by itself (a message beyond the limit, too
  many calls at once) has none.
- An answer with `seatrial-covered: <revision>` was given in the place of that candidate, which had no good one, and one
  with `seatrial-degraded: true` is not the model's own, see [the relay](../explanation/relay.md).
- `GET /v2/models/M/openapi.json` is an OpenAPI 3.1 document of the model that serves: its inputs with types, ranges and
  categories, and an example that it answers. FP16, which JSON cannot carry, has its example as `x-example-base64`.
- Web pages may call when `serving.cors.allowOrigins` names their origin; their preflights are answered then.
- A `traceparent` is taken over into log lines of failed requests and, with `serving.tracing`, into spans.
- gRPC knows `grpc.health.v1.Health` (Check and Watch for "", the model's name and `inference.GRPCInferenceService`; not
  serving from the moment a pod drains) and reflection (v1 and v1alpha), so grpcurl needs no .proto file.

| HTTP | gRPC | when |
|---|---|---|
| 400 | INVALID_ARGUMENT | the request does not fit the model, or a value is refused |
| 404 | NOT_FOUND | unknown model, version or path |
| 408 | | the head took over 10 s, or the body moved by less than 64 KiB/s for 10 s |
| 409 | FAILED_PRECONDITION | load and unload: versions are managed by the ModelDeployment |
| 413 | RESOURCE_EXHAUSTED | body or number of rows beyond the limit, or more than the budget of all requests |
| 415 | UNIMPLEMENTED | unknown compression |
| 429 | RESOURCE_EXHAUSTED | overloaded, with `retry-after` |
| 431 | | headers beyond 32 KiB or 100 fields |
| 500 | INTERNAL | the model failed, or answered NaN |
| 503 | UNAVAILABLE | shutting down, dropped from the queue, too many connections, or too many bytes buffered |
| 504 | DEADLINE_EXCEEDED | the model took too long |

Not there: streaming inference, shared memory, sequences, the classification extension, trace and log settings.
"""


def main() -> None:
    with fleet() as servers:
        sys.stdout.write(document({**measure_triton(servers), **measure_kserve(servers)}))


if __name__ == "__main__":
    main()
