"""`spec.serving`: the pods that serve a version."""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta, field

from seatrial.api.base import Base, SecretReference, form
from seatrial.api.placement import Placement
from seatrial.api.values import Duration, Quantity, Ratio, Size, percent, seconds


class ResourceList(Base, frozen=True, kw_only=True):
    """CPU, memory and disk as Kubernetes quantities."""

    cpu: (
        Annotated[
            Quantity,
            Meta(description="Cores, such as 500m or 2; a fraction needs quotes or milli-cores. Left out: none."),
        ]
        | None
    ) = None
    memory: Annotated[Quantity, Meta(description="Bytes, such as 512Mi or 2Gi. Left out: none is stated.")] | None = (
        None
    )
    ephemeral_storage: (
        Annotated[
            Quantity,
            Meta(
                description=(
                    "Bytes of the node's disk, such as 4Gi: the model's files, twice when quantized, and logs. As a "
                    "limit it bounds the volume that they are in, too. Left out: none is stated."
                )
            ),
        ]
        | None
    ) = field(name="ephemeral-storage", default=None)


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
        tuple[
            Annotated[
                str,
                Meta(
                    pattern=r"^(\*|https?://[A-Za-z0-9.:\[\]-]+)$",
                    max_length=253,
                    extra_json_schema=form("an origin like https://app.example.com, without a path, or *"),
                ),
            ],
            ...,
        ],
        Meta(description="Origins such as https://app.example.com, or * for every page.", min_length=1, max_length=32),
    ]


class Tracing(Base, frozen=True, kw_only=True):
    """Spans of requests, sent by OTLP over HTTP. None, when left out."""

    endpoint: Annotated[
        str,
        Meta(
            description="URL of the collector, such as http://collector.tracing:4318, without /v1/traces.",
            pattern=r"^https?://[^\s?#@]+$",
            extra_json_schema=form("a URL like http://collector.tracing:4318, without user, ? and #"),
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
                extra_json_schema=form("an image like registry.example.com/serving:0.1.0, without blanks"),
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
