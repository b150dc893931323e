"""What the server says about itself and its model, as plain documents: the same over REST and gRPC.

Statistics follow Triton's extension. Its split into queue and encoding times is not measured here and stays at zero.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from seatrial_server.host import config, errors
from seatrial_server.model import schema
from seatrial_server.observe import telemetry

EXTENSIONS = ("binary_tensor_data", "model_repository", "model_configuration", "statistics")
Document = dict[str, Any]


class Identity(msgspec.Struct, frozen=True):
    """Names and versions; `max_batch_size` is the number of rows of different requests that may run together."""

    server_version: str
    model: str
    version: str
    max_batch_size: int = 0
    pinning: config.VersionPinning = "Answer"
    revision: str = ""


class Documents:
    """For one model. `ready` is cleared when the server begins to drain."""

    def __init__(
        self,
        identity: Identity,
        model: schema.Schema,
        counters: telemetry.Telemetry,
        *,
        labels: Mapping[str, Sequence[schema.Value]] | None = None,
    ) -> None:
        self.identity = identity
        self.ready = True
        self._schema, self._labels = model, labels or {}
        self._counters = counters

    def check_model(self, name: str, version: str | None) -> None:
        """Refuse another model, and another version where that is the policy.

        During a rollout two versions serve behind one address, so a client that names one can't count on reaching it:
        the answer's `model_version` says which one it was.
        """
        own = self.identity
        if name != own.model:
            raise not_found(f"unknown model {name[:200]!r}; this server has {own.model!r}")
        if version and version != own.version and own.pinning == "Reject":
            raise not_found(f"unknown version {version[:200]!r}; this server has {own.version!r}")

    def check_asked(self, name: str, version: str | None, *, transport: telemetry.Transport) -> None:
        """The same for an inference request, which counts when it names another version, answered or not."""
        if version and version != self.identity.version and name == self.identity.model:
            self._counters.other_version[transport] += 1
        self.check_model(name, version)

    def check_ready(self) -> None:
        """Refuse while the server goes."""
        if not self.ready:
            raise errors.RequestError(503, "the server is shutting down", code="NotReady", outcome="shed")

    def server(self) -> Document:
        """Server metadata."""
        return {"name": "seatrial-server", "version": self.identity.server_version, "extensions": EXTENSIONS}

    def model(self) -> Document:
        """Model metadata; shapes include the batch dimension. Over REST an output's `parameters` hold its classes."""
        return {
            "name": self.identity.model,
            "versions": [self.identity.version],
            "platform": "onnx_onnxv1",
            "inputs": [msgspec.structs.asdict(spec) for spec in self._schema.inputs],
            "outputs": [self._output(spec) for spec in self._schema.outputs],
        }

    def _output(self, spec: schema.TensorSpec) -> Document:
        plain: Document = msgspec.structs.asdict(spec)
        return {**plain, "parameters": {"labels": self._labels[spec.name]}} if spec.name in self._labels else plain

    def config(self) -> Document:
        """Model configuration as Triton writes it: `dims` leave out the batch dimension of a batched model."""
        first = 1 if self.identity.max_batch_size else 0
        return {
            "name": self.identity.model,
            "platform": "onnxruntime_onnx",
            "backend": "onnxruntime",
            "max_batch_size": self.identity.max_batch_size,
            "input": [_tensor_config(spec, first) for spec in self._schema.inputs],
            "output": [_tensor_config(spec, first) for spec in self._schema.outputs],
        }

    def index(self) -> list[dict[str, str]]:
        """The model repository's index: one entry."""
        state, reason = ("READY", "") if self.ready else ("UNAVAILABLE", "the server is shutting down")
        return [{"name": self.identity.model, "version": self.identity.version, "state": state, "reason": reason}]

    def statistics(self) -> Document:
        """Cumulative counts since the start, over all transports."""
        state = self._counters
        outcomes = telemetry.totals(state)
        succeeded = outcomes["ok"] + outcomes["degraded"]
        calls = sum(state.model_durations.counts)
        seconds = {"success": state.durations.total - state.failed_seconds, "fail": state.failed_seconds}
        counts = {"success": succeeded, "fail": sum(outcomes.values()) - succeeded}
        return {
            "model_stats": [
                {
                    "name": self.identity.model,
                    "version": self.identity.version,
                    "last_inference": _epoch_milliseconds(state.last_call),
                    "inference_count": int(state.batch_rows.total),
                    "execution_count": calls,
                    "inference_stats": {
                        **{name: _duration(counts[name], seconds[name]) for name in counts},
                        "queue": _duration(0, 0),
                        "compute_input": _duration(0, 0),
                        "compute_infer": _duration(calls, state.model_durations.total),
                        "compute_output": _duration(0, 0),
                    },
                }
            ]
        }


def refused_load() -> errors.RequestError:
    """The answer to load and unload."""
    return errors.RequestError(
        409, "versions are managed by the ModelDeployment: change spec.model there", code="ManagedElsewhere"
    )


def not_found(message: str) -> errors.RequestError:
    """Unknown model, version or path."""
    return errors.RequestError(404, message, code="NotFound")


def _tensor_config(spec: schema.TensorSpec, first: int) -> Document:
    kind = "STRING" if spec.datatype == "BYTES" else spec.datatype
    return {"name": spec.name, "data_type": f"TYPE_{kind}", "dims": list(spec.shape[first:])}


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": max(0, round(seconds * 1e9))}


def _epoch_milliseconds(counter: float) -> int:
    """A reading of the performance counter as wall-clock time; 0 when there was none."""
    return round((time.time() - (time.perf_counter() - counter)) * 1000) if counter else 0
