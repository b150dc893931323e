"""ONNX Runtime behind one door: telemetry off, one thread per call unless asked otherwise, no spinning.

The only module that creates inference sessions. One intra-op thread, because pods have a CPU quota that ONNX Runtime
cannot see, and spinning threads under a quota make the 99th percentile up to forty times worse; `warmup` asks for more
where they are granted and help.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

# Read when the library is loaded; a read-only pod without a network must not try to report anything.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime as ort

from seatrial_server.host import errors
from seatrial_server.model import advice, datatypes, schema
from seatrial_server.model import rows as rows_

ort.disable_telemetry_events()
ort.set_default_logger_severity(4)  # its warnings go to stderr in a format of their own; errors come as exceptions

Array = np.ndarray[Any, Any]
VERSION: str = ort.__version__
ROWS_PER_RUN = 256
_LEFT_OUT = ("seq(", "map(")
_SOURCE = re.compile(r"/onnxruntime_src/\S+:\d+ .*?\)(?:::<lambda\(\)>)? (?=[A-Z])")
"""Where in its source ONNX Runtime was, which helps nobody here."""


class RowsFailed(Exception):
    """The model fails on some rows that it should answer; `cause` is ONNX Runtime's word."""

    def __init__(self, cause: str, *, first: int, last: int) -> None:
        super().__init__(f"rows {first} to {last}: {cause[:300]}")


class Session:
    """A loaded model with its schema."""

    def __init__(self, session: ort.InferenceSession, *, threads: int = 1, known: schema.Schema | None = None) -> None:
        self._session = session
        self.threads = threads
        declared, self.left_out = _signature(session)
        self.schema = known or declared
        self._names = [spec.name for spec in self.schema.outputs]
        self.dimensions = {node.name: tuple(map(_dimension, node.shape)) for node in session.get_inputs()}
        """By input, what the graph calls each dimension; empty for one of a fixed size, or without a name."""

    def run(self, feeds: dict[str, Array]) -> list[Array]:
        """All outputs of the schema, in its order; raises whatever ONNX Runtime raises."""
        outputs: list[Array] = self._session.run(self._names, feeds)
        return outputs

    def rows(self, feeds: dict[str, Array], size: int = ROWS_PER_RUN) -> list[Array]:
        """All outputs for all rows, of which `size` run together where the model takes so many.

        Raises:
            RowsFailed: whatever ONNX Runtime raised, with the rows that it concerns.
        """
        answered = []
        for part in rows_.parts(self.schema, feeds, size):
            try:
                answered.append([part.own(output) for output in self.run(part.feeds)])
            except Exception as error:  # ONNX Runtime raises a dozen unrelated types
                if errors.of_memory(error):
                    raise MemoryError(str(error)) from error
                raise RowsFailed(str(error), first=part.start, last=part.start + part.count - 1) from error
        try:
            return [np.concatenate(arrays) for arrays in zip(*answered, strict=True)]
        except ValueError as error:
            raise RowsFailed(f"answers of different shapes: {error}", first=0, last=part.start) from error


def options(*, threads: int = 1, packed: bool = True) -> ort.SessionOptions:
    """Session options that every session of this project shares."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.add_session_config_entry("session.inter_op.allow_spinning", "0")
    settings.add_session_config_entry("session.disable_prepacking", "0" if packed else "1")
    settings.log_severity_level = 4
    return settings


def load(model: Path | bytes, *, threads: int = 1, known: schema.Schema | None = None, packed: bool = True) -> Session:
    """Open a model; a file that ONNX Runtime does not take is `InvalidModel`.

    `known`: what was found out about it. `packed`: with a second copy of the weights, in the order that is quickest.
    """
    source = str(model) if isinstance(model, Path) else model
    try:
        opened = ort.InferenceSession(
            source, options(threads=threads, packed=packed), providers=["CPUExecutionProvider"]
        )
        return Session(opened, threads=threads, known=known)
    except errors.Rejected:
        raise
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types
        if errors.of_memory(error):
            raise MemoryError(str(error)) from error
        text = _SOURCE.sub("", str(error)) or type(error).__name__
        raise errors.Rejected(
            "InvalidModel",
            f"ONNX Runtime {VERSION} cannot load the model: {text.splitlines()[0][:500]}{advice.on_load(text)}",
        ) from error


def _signature(session: ort.InferenceSession) -> tuple[schema.Schema, tuple[str, ...]]:
    """The schema, and the maps and sequences among the outputs, which are left out where there are tensors too."""
    inputs = [_tensor(node) for node in session.get_inputs()]
    kept = [node for node in session.get_outputs() if not node.type.startswith(_LEFT_OUT)]
    wrong = [("input", node) for node in session.get_inputs()] + [("output", node) for node in kept]
    for kind, node in wrong:
        if node.type not in datatypes.BY_ONNX:
            raise _uncarried(f"{kind} {node.name!r} is {node.type}", node.type)
    outputs = [_tensor(node) for node in session.get_outputs()]
    left_out = tuple(node.name for node, spec in zip(session.get_outputs(), outputs, strict=True) if spec is None)
    carried = tuple(spec for spec in outputs if spec is not None)
    if not carried:
        raise _uncarried(f"outputs {list(left_out)} are no tensors", session.get_outputs()[0].type)
    return schema.Schema(inputs=tuple(spec for spec in inputs if spec is not None), outputs=carried), left_out


def _dimension(size: object) -> str:
    return size if isinstance(size, str) else ""


def _uncarried(words: str, kind: str) -> errors.Rejected:
    return errors.Rejected("InvalidModel", f"{words}, which the V2 protocol cannot carry: {advice.on_type(kind)}")


def _tensor(node: ort.NodeArg) -> schema.TensorSpec | None:
    datatype = datatypes.BY_ONNX.get(node.type)
    if datatype is None:
        return None
    shape = tuple(size if isinstance(size, int) else schema.FREE for size in node.shape)
    return schema.TensorSpec(name=node.name, datatype=datatype.name, shape=shape)
