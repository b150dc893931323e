"""`spec.trial` and `spec.rollout`: how a new version is tried, and how it takes over."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from seatrial.api.base import Base, Name, ObjectName, SecretReference, form
from seatrial.api.values import Duration, seconds

from .model import Sha256


class Dataset(Base, frozen=True, kw_only=True):
    """Rows for declared tests that the package doesn't bring itself, so that its author doesn't choose them."""

    name: Annotated[
        str,
        Meta(
            description="What the tests in the package call it.",
            pattern="^[A-Za-z0-9][-A-Za-z0-9._]{0,62}$",
            extra_json_schema=form("letters, digits, dots, hyphens and underscores, such as pinned"),
            max_length=63,
        ),
    ]
    uri: Annotated[
        str,
        Meta(
            description="Where the .npz file is, as spec.model.uri says it.",
            pattern="^(https?|s3|gs|az|oci|pvc)://[^ ]+$",
            extra_json_schema=form(
                "an address that begins with http://, https://, s3://, gs://, az://, oci:// or pvc://"
            ),
            max_length=2048,
        ),
    ]
    sha256: Annotated[Sha256, Meta(description="SHA-256 of the file, 64 lower-case hex digits.")]
    secret_ref: (
        Annotated[
            SecretReference,
            Meta(description="Secret with the store's credentials, as spec.model.secretRef. Left out: none are used."),
        ]
        | None
    ) = None

    @property
    def secret(self) -> str | None:
        """Name of the Secret with the credentials."""
        return self.secret_ref.name if self.secret_ref else None


class Trial(Base, frozen=True, kw_only=True):
    """The trial Job: fetch, verify, quantize, test, before any serving pod exists."""

    timeout: Annotated[Duration, Meta(description="The trial fails after this time.")] = seconds("10m")
    datasets: Annotated[
        tuple[Dataset, ...],
        Meta(
            description=(
                "Rows that tests in packages refer to by name. Fetched when a trial's tests name them; a change is "
                "seen by the next trial, no running version is tried again."
            ),
            max_length=8,
        ),
    ] = ()


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
        tuple[
            Annotated[
                str,
                Meta(
                    pattern=HOSTNAME,
                    max_length=253,
                    extra_json_schema=form("a host like shop.example.com or *.example.com"),
                ),
            ],
            ...,
        ],
        Meta(
            description="Hosts whose requests are for this model; left out: all that come to the Gateways are.",
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
                    "sees one version, and keeps it while the weight grows. One without it is drawn; left out: all are."
                ),
                pattern="^[a-z]([-a-z0-9]{0,62}[a-z0-9])?$",
                extra_json_schema=form("the name of a header in lower case, such as x-user-id"),
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
