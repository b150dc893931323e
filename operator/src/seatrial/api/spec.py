"""`ModelDeployment.spec`: what a user wants, with every default. The CRD's schema is generated from these types.

A field exists only once it works. Docstrings become the descriptions in the CRD; bounds are in the annotations.
What the schema can't say as bounds are CEL rules, see `rules`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from .base import Base, Name, ObjectName
from .base import SecretReference as SecretReference
from .placement import Placement
from .values import Duration, Label, Number, Quantity, Ratio, Size

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", min_length=64, max_length=64)]


def seconds(text: str) -> Duration:
    return Duration.parse(text)


def percent(text: str) -> Ratio:
    return Ratio.parse(text)


class Model(Base, frozen=True, kw_only=True):
    """The model version to serve, named by the digest of its bytes."""

    uri: Annotated[
        str,
        Meta(
            description=(
                "Where the bytes are: one .onnx file or a model package (.tar, .tar.gz, .zip). http://, https://, "
                "s3://bucket/key, gs://bucket/key, az://container/path, oci://registry/repository@sha256:... or :tag, "
                "pvc://claim/path."
            ),
            pattern="^(https?|s3|gs|az|oci|pvc)://[^ ]+$",
            max_length=2048,
        ),
    ]
    sha256: Annotated[Sha256, Meta(description="SHA-256 of the bytes at uri, 64 lower-case hex digits.")]
    version: (
        Annotated[
            Label,
            Meta(
                description=(
                    "Label for people; V2 model_version and metrics carry it. Default: the first 8 digits of sha256."
                )
            ),
        ]
        | None
    ) = None
    name: Annotated[Name, Meta(description="V2 model name. Default: metadata.name.")] | None = None
    secret_ref: (
        Annotated[
            SecretReference,
            Meta(
                description=(
                    "Secret with the store's credentials. Its keys are environment variables (AWS_*, GOOGLE_*, "
                    "AZURE_*, OCI_*) of the containers that fetch, never of the server. Not part of the revision."
                )
            ),
        ]
        | None
    ) = None

    @property
    def secret(self) -> str | None:
        """Name of the Secret with the credentials."""
        return self.secret_ref.name if self.secret_ref else None

    @property
    def label(self) -> str:
        return str(self.version or self.sha256[:8])


class QuantizationMode(enum.StrEnum):
    AUTO = "Auto"
    STATIC = "Static"
    DYNAMIC = "Dynamic"
    NONE = "None"


class QuantizationFailure(enum.StrEnum):
    SERVE_ORIGINAL = "ServeOriginal"
    REJECT = "Reject"


class Quantization(Base, frozen=True, kw_only=True):
    """Whether the model is served in int8, and what that may cost."""

    mode: Annotated[
        QuantizationMode,
        Meta(
            description=(
                "Auto: static int8 when the graph has something to quantize and the package has calibration "
                "rows, else the original. Static: int8 or onFailure. Dynamic: int8 with ranges taken at run time, "
                "which needs no calibration rows but forbids batching. None: the original."
            )
        ),
    ] = QuantizationMode.AUTO
    max_disagreement: Annotated[
        Ratio,
        Meta(description="Held-out rows whose answer may differ from the original's, by the upper 95 % limit."),
    ] = percent("1%")
    min_speedup: Annotated[
        Ratio, Meta(description="Speed gained that is worth it, measured on the node at batch 1 and 32.")
    ] = percent("0%")
    on_failure: Annotated[
        QuantizationFailure,
        Meta(description="What happens when int8 misses a bound: ServeOriginal or Reject the version."),
    ] = QuantizationFailure.SERVE_ORIGINAL


class ResourceList(Base, frozen=True, kw_only=True):
    """CPU and memory as Kubernetes quantities."""

    cpu: (
        Annotated[Quantity, Meta(description="Cores, such as 500m or 2; a fraction needs quotes or milli-cores.")]
        | None
    ) = None
    memory: Annotated[Quantity, Meta(description="Bytes, such as 512Mi or 2Gi.")] | None = None


class Resources(Base, frozen=True, kw_only=True):
    """Requests and limits of the server's container."""

    requests: Annotated[ResourceList, Meta(description="What the scheduler reserves.")] = ResourceList(
        cpu=Quantity("100m"), memory=Quantity("128Mi")
    )
    limits: Annotated[ResourceList, Meta(description="What the container may use at most.")] = ResourceList(
        memory=Quantity("1Gi")
    )


class Limits(Base, frozen=True, kw_only=True):
    """What the server accepts before it refuses."""

    max_queue_rows: Annotated[
        int, Meta(description="Rows waiting for the model; more is answered 429.", ge=1, le=65536)
    ] = 256
    timeout: Annotated[Duration, Meta(description="Longest time a request may take.")] = seconds("2s")
    max_body_bytes: Annotated[Size, Meta(description="Largest request body; more is answered 413.")] = Size("64Mi")


class Cache(Base, frozen=True, kw_only=True):
    """Answers that are given again to the same values, without running the model. Off when left out."""

    max_bytes: Annotated[Size, Meta(description="Memory for answers; the least recently used go first.")] = Size("32Mi")
    ttl: Annotated[Duration, Meta(description="Longest age of an answer.")] = seconds("1m")


class FallbackMode(enum.StrEnum):
    NONE = "None"
    STATIC = "Static"


class Fallback(Base, frozen=True, kw_only=True):
    """What a client gets when the model fails or can't keep up. An error, when left out."""

    mode: Annotated[
        FallbackMode,
        Meta(
            description=(
                "Static: the fixed answer in the package's model.yaml, marked and counted as degraded; a version "
                "without one is rejected. None: an error."
            )
        ),
    ] = FallbackMode.NONE


class VersionPinning(enum.StrEnum):
    ANSWER = "Answer"
    REJECT = "Reject"


class Tls(Base, frozen=True, kw_only=True):
    """REST and gRPC speak TLS. For where no gateway or mesh does; the metrics port stays as it is."""

    secret_ref: Annotated[
        SecretReference,
        Meta(
            description=(
                "Secret of type kubernetes.io/tls. What is renewed in it is used within a minute or two, without a new "
                'revision. Where the policies are installed it needs the label seatrial.dev/for-models: "true".'
            )
        ),
    ]


class Cors(Base, frozen=True, kw_only=True):
    """Web pages that may call. None, when left out."""

    allow_origins: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^(\*|https?://[A-Za-z0-9.:\[\]-]+)$", max_length=253)], ...],
        Meta(description="Origins such as https://app.example.com, or * for every page.", min_length=1, max_length=32),
    ]


class Tracing(Base, frozen=True, kw_only=True):
    """Spans of requests, sent by OTLP over HTTP. None, when left out."""

    endpoint: Annotated[
        str,
        Meta(
            description="URL of the collector, such as http://collector.tracing:4318, without /v1/traces.",
            pattern=r"^https?://[^\s?#@]+$",
            max_length=512,
        ),
    ]
    ratio: Annotated[
        Ratio,
        Meta(description="Share of the requests without a trace of their own; one that has a trace decides by it."),
    ] = percent("1%")


class Serving(Placement, frozen=True, kw_only=True, omit_defaults=False):
    """The pods that serve a version. Changing anything here makes a new revision, hence a rollout."""

    image: (
        Annotated[
            str,
            Meta(
                description=(
                    "Serving image. Default: the operator's own at the time a version is first seen; an operator "
                    "upgrade changes no running version. Must be one that the operator's --serving-image-allow lists."
                ),
                pattern="^[^ ]+$",
                max_length=512,
            ),
        ]
        | None
    ) = None
    resources: Resources = Resources()
    limits: Limits = Limits()
    cache: Cache | None = None
    fallback: Fallback | None = None
    version_pinning: (
        Annotated[
            VersionPinning,
            Meta(
                description=(
                    "A request that names another version than the one that serves. Answer (when left out): by the one "
                    "that serves, model_version in the answer says which; during a rollout there are two behind one "
                    "address. Reject: with 404, counted as rejected."
                )
            ),
        ]
        | None
    ) = None
    tls: Tls | None = None
    cors: Cors | None = None
    tracing: Tracing | None = None


class Trial(Base, frozen=True, kw_only=True):
    """The trial Job: fetch, verify, quantize, test, before any serving pod exists."""

    timeout: Annotated[Duration, Meta(description="The trial fails after this time.")] = seconds("10m")


MIN_DURATION = seconds("2m")


class Step(Base, frozen=True, kw_only=True):
    """One stage of a canary."""

    weight: Annotated[
        int,
        Meta(
            description="Share of the requests that the candidate should answer, in percent; 0 needs a shadow.",
            ge=0,
            le=100,
        ),
    ]
    shadow: Annotated[
        int,
        Meta(
            description=(
                "Share of the requests that stable answers of which the candidate gets a copy, in percent: it is tried "
                "on real requests, and its answers are compared with stable's and given to nobody. Provider Relay only."
            ),
            ge=0,
            le=100,
        ),
    ] = 0
    min_duration: Annotated[
        Duration, Meta(description="Observed time before the next step; time without metrics doesn't count.")
    ] = MIN_DURATION
    min_requests: Annotated[
        int,
        Meta(
            description="Requests, copies included, answered by the candidate before the next step.",
            ge=0,
            le=1_000_000_000,
        ),
    ] = 100
    pause: Annotated[bool, Meta(description="Wait for the promote command at the end of this step.")] = False


class InsufficientTraffic(enum.StrEnum):
    HOLD = "Hold"
    PROMOTE = "Promote"


class Promotion(enum.StrEnum):
    NO_REGRESSION = "NoRegression"
    NON_INFERIORITY = "NonInferiority"


class OnRegression(enum.StrEnum):
    ROLLBACK = "Rollback"
    PAUSE = "Pause"


class Provider(enum.StrEnum):
    """What shares the requests out between two versions."""

    RELAY = "Relay"
    SERVICE = "Service"
    GATEWAY_API = "GatewayAPI"


DEFAULT_PROVIDER = Provider.RELAY
DEFAULT_STEPS: Mapping[Provider, tuple[Step, ...]] = {
    Provider.RELAY: (
        Step(weight=0, shadow=10, min_duration=seconds("1m"), min_requests=200),
        Step(weight=10),
        Step(weight=50, min_requests=500),
    ),
    Provider.SERVICE: (Step(weight=10), Step(weight=50, min_requests=500)),
    Provider.GATEWAY_API: (Step(weight=10), Step(weight=50, min_requests=500)),
}


class ParentRef(Base, frozen=True, kw_only=True):
    """A Gateway that the route asks to be attached to."""

    name: Annotated[ObjectName, Meta(description="Name of the Gateway.")]
    namespace: (
        Annotated[
            Name,
            Meta(
                description=(
                    "Its namespace; left out, the object's own. A Gateway elsewhere has to allow routes from here."
                )
            ),
        ]
        | None
    ) = None
    section_name: Annotated[ObjectName, Meta(description="One of its listeners; left out, all that fit.")] | None = None


HOSTNAME = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"


class Gateway(Base, frozen=True, kw_only=True):
    """Where the route of provider GatewayAPI is attached, and for which hosts."""

    parent_refs: Annotated[
        tuple[ParentRef, ...],
        Meta(
            description="The Gateways. A share counts once each of them has accepted the route.",
            min_length=1,
            max_length=8,
        ),
    ]
    hostnames: Annotated[
        tuple[Annotated[str, Meta(pattern=HOSTNAME, max_length=253)], ...],
        Meta(
            description="Hosts whose requests are for this model; none: every request that reaches the Gateways is.",
            max_length=16,
        ),
    ] = ()


class Traffic(Base, frozen=True, kw_only=True):
    """Who shares the requests out between two versions, and how."""

    provider: (
        Annotated[
            Provider,
            Meta(
                description=(
                    "Relay: the pods of the stable version pass on exactly the share asked for, request by request. "
                    "Service: both versions' pods are selected, so the share follows the number of pods. "
                    "GatewayAPI: an HTTPRoute with weights, for a gateway that you have; needs gateway. Left out: "
                    f"{DEFAULT_PROVIDER}; an object of an older operator keeps what it has until its spec changes. A "
                    "rollout ends with the provider that it began with."
                )
            ),
        ]
        | None
    ) = None
    gateway: Gateway | None = None
    sticky: (
        Annotated[
            str,
            Meta(
                description=(
                    "Relay: name of a request header, in lower case, whose value decides which version answers: a user "
                    "sees one version, and keeps it while the weight grows. A request without it is drawn."
                ),
                pattern="^[a-z]([-a-z0-9]{0,62}[a-z0-9])?$",
                max_length=64,
            ),
        ]
        | None
    ) = None
    cover: Annotated[
        bool,
        Meta(
            description=(
                "Relay: the stable version answers in the candidate's place when that fails, refuses, or takes longer "
                "than coverAfter. It counts against the candidate all the same."
            )
        ),
    ] = True
    cover_after: (
        Annotated[
            Duration,
            Meta(
                description=(
                    "Relay: how long the candidate may take before the stable version answers in its place. Left out: "
                    "half of the time that the request has."
                )
            ),
        ]
        | None
    ) = None
    trust_client_choice: Annotated[
        bool,
        Meta(
            description=(
                "Relay: a request's header seatrial-revision names the version that answers, whatever the weight. For "
                "testers behind a gateway that keeps the header from everybody else."
            )
        ),
    ] = False


class Rollout(Base, frozen=True, kw_only=True):
    """How a new version takes over."""

    steps: (
        Annotated[
            tuple[Step, ...],
            Meta(
                description=(
                    "Stages of the canary, weights strictly increasing. Left out: copies of 10 % for 1m and 200 "
                    "requests, then 10 % and 50 %; without the copies where the provider is not Relay."
                ),
                min_length=1,
                max_length=20,
            ),
        ]
        | None
    ) = None
    traffic: Traffic = Traffic()
    promotion: Annotated[
        Promotion,
        Meta(
            description=(
                "What ends a step beside its minimums. NoRegression: nothing speaks against the version. "
                "NonInferiority: it is proven to be within the tolerance, in errors and in requests slower than the "
                "latency threshold; while no answer of either version is bad, nothing can be proven and the step holds."
            )
        ),
    ] = Promotion.NO_REGRESSION
    on_insufficient_traffic: Annotated[
        InsufficientTraffic,
        Meta(
            description=(
                "When minRequests isn't met at stepTimeout: Hold the weight, or Promote on what was seen. "
                "Without metrics nothing is ever promoted."
            )
        ),
    ] = InsufficientTraffic.HOLD
    step_timeout: Annotated[Duration, Meta(description="When onInsufficientTraffic applies.")] = seconds("30m")
    start_timeout: Annotated[Duration, Meta(description="A candidate whose pods aren't Ready by then is rejected.")] = (
        seconds("5m")
    )
    on_regression: Annotated[
        OnRegression,
        Meta(
            description=(
                "When evidence is found against a candidate, stable gets all traffic at once. Rollback: the version is "
                "rejected and its pods go. Pause: no verdict, its pods stay to be looked at until a command (promote, "
                "abort) or another version. After promotion it is always Rollback."
            )
        ),
    ] = OnRegression.ROLLBACK
    soak: Annotated[
        Duration, Meta(description="After promotion the old version stays warm and the new one watched for this long.")
    ] = seconds("10m")


class PrometheusSource(Base, frozen=True, kw_only=True):
    """Where the evidence comes from."""

    url: (
        Annotated[
            str,
            Meta(
                description=(
                    "Base URL of the Prometheus that scrapes the pods, without query, fragment or user: a Service of "
                    "this namespace (http://NAME.NAMESPACE.svc:9090), or what the operator allows. Default: the "
                    "operator's."
                ),
                pattern="^https?://[^ ]+$",
                max_length=2048,
            ),
        ]
        | None
    ) = None
    secret_ref: (
        Annotated[
            SecretReference,
            Meta(
                description=(
                    "Secret with credentials for it: token, or username and password; ca.crt; header.NAME. It needs "
                    'the label seatrial.dev/prometheus-credentials: "true", and a name that the operator\'s settings '
                    "list."
                )
            ),
        ]
        | None
    ) = None


class Errors(Base, frozen=True, kw_only=True):
    """Requests that the model failed."""

    max: Annotated[Ratio, Meta(description="Absolute guard: a candidate proven above this share is rolled back.")] = (
        percent("5%")
    )
    tolerance: Annotated[
        Ratio, Meta(description="How much worse than stable is still fine, relative to stable's share.")
    ] = percent("10%")


class Latency(Base, frozen=True, kw_only=True):
    """Requests slower than a threshold."""

    threshold: Annotated[Duration, Meta(description="A request is slow above this.")] = seconds("100ms")
    floor: Annotated[
        Duration | None,
        Meta(description="Differences below this are never compared; default: a tenth of the threshold."),
    ] = None
    max: Annotated[
        Ratio, Meta(description="Absolute guard: a candidate with proven more slow requests is rolled back.")
    ] = percent("1%")
    tolerance: Annotated[
        Ratio, Meta(description="How much worse than stable is still fine, relative to stable's share and to its time.")
    ] = percent("25%")


class Rejections(Base, frozen=True, kw_only=True):
    """Requests refused as the client's fault; a version that refuses what the old one took has regressed."""

    tolerance: Annotated[
        Ratio,
        Meta(
            description="How much worse than stable is still fine, relative to stable's share. Shed answers have the "
            "same tolerance."
        ),
    ] = percent("25%")


class OnShift(enum.StrEnum):
    PAUSE = "Pause"
    REPORT = "Report"


class Disagreement(Base, frozen=True, kw_only=True):
    """How often the candidate's answers to copies of requests may differ from stable's. Not judged, when left out."""

    max: Annotated[
        Ratio,
        Meta(
            description=(
                "Share of the rows whose answer may differ: another class, a number or an embedding beyond the measure "
                "that quantization is held to."
            )
        ),
    ]
    on_shift: Annotated[
        OnShift,
        Meta(
            description=(
                "When more than max is proven to differ. Pause: the rollout is held until a command (promote, abort) "
                "or another version. Report: it is only said. It is never rolled back for it: another answer may be "
                "the better one."
            )
        ),
    ] = OnShift.PAUSE


class OnNoData(enum.StrEnum):
    HOLD = "Hold"
    ROLLBACK = "Rollback"
    IGNORE = "Ignore"


class Metric(Base, frozen=True, kw_only=True):
    """A number of your own that a candidate with traffic is held to."""

    name: Annotated[
        str,
        Meta(
            description="What messages and status call it.", pattern="^[a-z][a-zA-Z0-9_]*$", min_length=1, max_length=63
        ),
    ]
    query: Annotated[
        str,
        Meta(
            description=(
                "PromQL that gives one number. Filled in, between double braces: revision, stableRevision, namespace, "
                "name, and window, the age of the step, for the ranges of rates."
            ),
            min_length=1,
            max_length=4096,
        ),
    ]
    max: Annotated[Number, Meta(description="Rolled back when twice in a row above.")] | None = None
    min: Annotated[Number, Meta(description="Rolled back when twice in a row below.")] | None = None
    on_no_data: Annotated[
        OnNoData,
        Meta(
            description=(
                "Without exactly one finite number: Hold the weight, Rollback after blindTimeout, or Ignore the metric."
            )
        ),
    ] = OnNoData.HOLD


class Analysis(Base, frozen=True, kw_only=True):
    """How the candidate is compared with stable."""

    prometheus: PrometheusSource | None = None
    interval: Annotated[
        Duration, Meta(description="How often the evidence is looked at; also the time slot of the comparison.")
    ] = seconds("15s")
    blind_timeout: Annotated[
        Duration,
        Meta(description="Without usable metrics for so long, the candidate's weight goes to 0, without a verdict."),
    ] = seconds("2m")
    false_rollback_rate: Annotated[
        Ratio, Meta(description="Share of healthy candidates that may be rolled back by mistake, over a whole rollout.")
    ] = percent("1%")
    errors: Errors = Errors()
    latency: Latency = Latency()
    rejections: Rejections = Rejections()
    disagreement: Disagreement | None = None
    metrics: Annotated[
        tuple[Metric, ...],
        Meta(description="Numbers of your own, from Prometheus, beside what Seatrial compares.", max_length=8),
    ] = ()


class Spec(Base, frozen=True, kw_only=True):
    """What a user wants of one model deployment."""

    model: Model
    replicas: Annotated[int, Meta(description="Pods of the stable version.", ge=1, le=500)] = 2
    quantization: Quantization = Quantization()
    serving: Serving = Serving()
    trial: Trial = Trial()
    rollout: Rollout = Rollout()
    analysis: Analysis = Analysis()
    revision_history_limit: Annotated[int, Meta(description="Old revisions kept for a return.", ge=1, le=50)] = 10


Command = Literal["promote", "abort", "retry", "pause", "resume", "rollback-to", "refresh-image"]
