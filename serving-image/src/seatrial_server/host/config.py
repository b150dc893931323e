"""What the operator tells the server: `config.json`, decoded once into frozen Structs.

The operator keeps its own Struct of the same document; the two parts share no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from seatrial_server.host import errors

Precision = Literal["fp32", "fp16", "fp64", "int8-static", "int8-dynamic"]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class ModelRef(msgspec.Struct, frozen=True, rename="camel"):
    """Which bytes to serve, and under which name."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    version: str
    uri: str
    sha256: Sha256


class Quantization(msgspec.Struct, frozen=True, rename="camel"):
    """Whether to quantize, and what the result must hold."""

    mode: Literal["Auto", "Static", "Dynamic", "None"] = "Auto"
    max_disagreement: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.01
    min_speedup: float = 0.0
    on_failure: Literal["ServeOriginal", "Reject"] = "ServeOriginal"


class Limits(msgspec.Struct, frozen=True, rename="camel"):
    """Bounds of the request path."""

    max_queue_rows: Annotated[int, msgspec.Meta(ge=1)] = 256
    timeout_seconds: Positive = 2.0
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1)] = 64 * 1024 * 1024


class Cache(msgspec.Struct, frozen=True, rename="camel"):
    """How much to remember, for how long."""

    max_bytes: Annotated[int, msgspec.Meta(ge=1)]
    ttl_seconds: Positive = 60.0


class Fallback(msgspec.Struct, frozen=True):
    """What a client gets when the model fails or cannot keep up: an error, or the answer in `model.yaml`."""

    mode: Literal["None", "Static"] = "None"


VersionPinning = Literal["Answer", "Reject"]
"""A request that names another version than the one that serves is answered by that one, which says so, or refused."""


class Tls(msgspec.Struct, frozen=True):
    """PEM files of both ports; they are read again when they change."""

    certificate: str
    key: str


class Cors(msgspec.Struct, frozen=True, rename="camel"):
    """Which web pages may call: origins such as `https://app.example.com`, or `*` for all."""

    allow_origins: tuple[Annotated[str, msgspec.Meta(pattern=r"^(\*|https?://[A-Za-z0-9.:\[\]-]+)$")], ...]


class Tracing(msgspec.Struct, frozen=True):
    """Where spans go (OTLP over HTTP, without `/v1/traces`), and which share of the requests without a trace."""

    endpoint: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s]+$")]
    ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.01


class Expected(msgspec.Struct, frozen=True, rename="camel"):
    """What the trial recorded; a pod must arrive at the same bytes. `calibration` is for `prepare.quantize` alone."""

    served_sha256: Sha256
    precision: Precision
    calibration: dict[str, Any] | None = None


class Relay(msgspec.Struct, frozen=True):
    """Where the pod's annotation with its assignment is mounted."""

    file: Annotated[str, msgspec.Meta(min_length=1)]


class Stable(msgspec.Struct, frozen=True):
    """The version that answers now, for tests against it. `way`: see `Trial`."""

    version: str
    uri: str
    sha256: Sha256
    way: Annotated[int, msgspec.Meta(ge=0)] = 0


class Dataset(msgspec.Struct, frozen=True):
    """Rows for declared tests."""

    name: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][-A-Za-z0-9._]{0,62}$")]
    uri: str
    sha256: Sha256
    way: Annotated[int, msgspec.Meta(ge=0)] = 0


class Trial(msgspec.Struct, frozen=True):
    """What the tests may need beside the package. Each `way` is a container with its own credentials, 0 the model's."""

    stable: Stable | None = None
    datasets: Annotated[tuple[Dataset, ...], msgspec.Meta(max_length=64)] = ()


class Feedback(msgspec.Struct, frozen=True):
    """The folder in which the deployment's keys for tokens are mounted, see `feedback.keys`."""

    keys: Annotated[str, msgspec.Meta(min_length=1)]


class Monitoring(msgspec.Struct, frozen=True):
    """Where the live settings are mounted, see `host.live`."""

    file: Annotated[str, msgspec.Meta(min_length=1)]


class Config(msgspec.Struct, frozen=True, rename="camel"):
    """The whole document."""

    model: ModelRef
    deployment: str = ""
    namespace: str = ""
    revision: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9._-]{0,63}$")] = ""
    quantization: Quantization = Quantization()
    limits: Limits = Limits()
    cache: Cache | None = None
    fallback: Fallback = Fallback()
    version_pinning: VersionPinning = "Answer"
    tls: Tls | None = None
    cors: Cors | None = None
    tracing: Tracing | None = None
    latency_threshold_seconds: Positive = 0.1
    max_artifact_bytes: Annotated[int, msgspec.Meta(ge=1)] = 2 * 1024**3
    expected: Expected | None = None
    relay: Relay | None = None
    trial: Trial = Trial()
    feedback: Feedback | None = None
    monitoring: Monitoring | None = None


def tracing(configured: Tracing | None, environment: Mapping[str, str]) -> Tracing | None:
    """The configured one, else what OpenTelemetry's variables say, as on a laptop."""
    endpoint = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    if configured is not None or not endpoint:
        return configured
    given = {"endpoint": endpoint, "ratio": environment.get("OTEL_TRACES_SAMPLER_ARG", Tracing(endpoint).ratio)}
    try:
        return msgspec.convert(given, Tracing, strict=False)
    except msgspec.ValidationError as error:
        raise errors.Unavailable(f"OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER_ARG: {error}") from error


def load(path: Path) -> Config:
    """Decode the document; an error names the field."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Config)
    except OSError as error:
        raise errors.Unavailable(f"--config: cannot read {path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise errors.Unavailable(f"--config: {path} is not a valid configuration: {error}", retryable=False) from error
