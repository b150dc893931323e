"""`spec.monitoring.feedback`, `spec.analysis.quality` and `outcomes`: what became of answers, and what follows."""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta

from seatrial.api import base
from seatrial.api.base import Base
from seatrial.api.values import Duration, Number, Ratio, percent, seconds

EventName = Annotated[
    str,
    Meta(
        pattern="^[A-Za-z][A-Za-z0-9_-]*$",
        min_length=1,
        max_length=40,
        extra_json_schema=base.form("letters, digits, hyphens and underscores, such as converted"),
    ),
]


class Feedback(Base, frozen=True, kw_only=True):
    """Answers carry a token, for which clients send back what became of them. Live: a change of it is no rollout."""

    horizon: Annotated[
        Duration,
        Meta(
            description=(
                "How late a label or an event may come to count. A twenty-fourth of it, at least a minute, is the "
                "stretch of time within which versions are compared: a short one judges short canaries."
            )
        ),
    ] = seconds("24h")
    always: Annotated[
        bool,
        Meta(description='A token in every answer, not only where the request has the parameter "feedback": true.'),
    ] = False
    events: Annotated[
        tuple[EventName, ...], Meta(description="What may happen after an answer, such as converted.", max_length=4)
    ] = ()
    value_cap: (
        Annotated[
            Number,
            Meta(description="What an answer brought may be sent as value, up to this. Left out: no values are taken."),
        ]
        | None
    ) = None
    within: (
        Annotated[
            Number,
            Meta(description="A number is right this near to its label. Left out: numbers get no labels."),
        ]
        | None
    ) = None


class Quality(Base, frozen=True, kw_only=True):
    """Answers that turned out wrong, of candidate and stable, by the time of the request. Needs monitoring.feedback."""

    tolerance: Annotated[
        Ratio, Meta(description="How much more often than stable it may be wrong, relative to stable's share.")
    ] = percent("10%")


class QualityAfter(Base, frozen=True, kw_only=True):
    """Answers of the version that serves that turned out wrong, day by day. Needs monitoring.feedback."""

    max: Annotated[Ratio, Meta(description="Share of the labelled rows that may be wrong. 100%: no maximum.")] = (
        percent("100%")
    )
    tolerance: Annotated[
        Ratio,
        Meta(description="How much more often than in the holdout, else than in its first weeks, it may be wrong."),
    ] = percent("10%")


class Better(enum.StrEnum):
    MORE = "More"
    LESS = "Less"


class OutcomeSource(enum.StrEnum):
    FEEDBACK = "Feedback"
    PROMETHEUS = "Prometheus"


class BusinessOutcome(Base, frozen=True, kw_only=True):
    """Something that happens after answers, counted for each version."""

    name: Annotated[
        str,
        Meta(
            description="What messages and status call it.",
            pattern="^[a-z][a-zA-Z0-9_]*$",
            max_length=40,
            extra_json_schema=base.form("letters, digits and underscores, with a lower-case letter first"),
        ),
    ]
    better: Annotated[Better, Meta(description="More, as for conversions, or Less, as for complaints.")] = Better.MORE
    tolerance: Annotated[
        Ratio, Meta(description="How much worse than stable is still fine, relative to stable's rate.")
    ] = percent("5%")
    source: Annotated[
        OutcomeSource,
        Meta(description="Feedback: an event that clients send back. Prometheus: a counter of your own service."),
    ] = OutcomeSource.FEEDBACK
    event: Annotated[
        EventName | None, Meta(description="One of spec.monitoring.feedback.events; left out with source Prometheus.")
    ] = None
    selector: Annotated[
        Annotated[str, Meta(min_length=1, max_length=1024)] | None,
        Meta(description='A counter in PromQL, as shop_orders_total{shop="eu"}. Left out with source Feedback.'),
    ] = None
    label: Annotated[
        Annotated[
            str,
            Meta(
                pattern="^[a-zA-Z_][a-zA-Z0-9_]*$",
                max_length=63,
                extra_json_schema=base.form("the name of a label, such as model_revision"),
            ),
        ]
        | None,
        Meta(
            description="The counter's label whose value is the revision that answered. Left out with source Feedback."
        ),
    ] = None
    delay: Annotated[
        Duration,
        Meta(description="How long after the answer it happens, usually: orders are compared with requests then."),
    ] = seconds("0s")
