"""`spec.analysis`: how the candidate is compared with stable."""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta

from seatrial.api.base import Base, SecretReference, form
from seatrial.api.values import Duration, Number, Ratio, percent, seconds

from .feedback import BusinessOutcome, Quality


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
                extra_json_schema=form("a URL like http://prometheus.monitoring.svc:9090"),
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


class Answers(Base, frozen=True, kw_only=True):
    """How far the candidate's answers may be distributed otherwise than stable's, given the same traffic."""

    tolerance: Annotated[
        Ratio, Meta(description="Difference of the share of any set of answers up to which nothing counts as shifted.")
    ] = percent("20%")
    on_shift: Annotated[
        OnShift,
        Meta(
            description=(
                "When more is proven. Pause: the rollout is held until a command (promote, abort) or another version. "
                "Report: it is only said. It is never rolled back for it: a new model is meant to differ."
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
            description="What messages and status call it.",
            pattern="^[a-z][a-zA-Z0-9_]*$",
            max_length=63,
            extra_json_schema=form(
                "letters, digits and underscores, with a lower-case letter first, such as fraudScore"
            ),
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
    max: (
        Annotated[Number, Meta(description="Rolled back when twice in a row above; left out: no upper bound.")] | None
    ) = None
    min: (
        Annotated[Number, Meta(description="Rolled back when twice in a row below; left out: no lower bound.")] | None
    ) = None
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
    answers: Answers = Answers()
    quality: Quality | None = None
    outcomes: Annotated[
        tuple[BusinessOutcome, ...],
        Meta(description="What happens after answers, counted for each version, such as conversions.", max_length=4),
    ] = ()
    metrics: Annotated[
        tuple[Metric, ...],
        Meta(description="Numbers of your own, from Prometheus, beside what Seatrial compares.", max_length=8),
    ] = ()
