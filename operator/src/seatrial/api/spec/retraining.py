"""`spec.retraining`: what trains a new version, what starts it, and who lets the result in."""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta

from seatrial.api.base import Base, ObjectName, form
from seatrial.api.values import Duration


class Trigger(enum.StrEnum):
    """What starts a run without anybody asking for it."""

    QUALITY = "Quality"
    DRIFT = "Drift"
    AGE = "Age"


class Adopt(enum.StrEnum):
    """Who lets a trained version begin its trial."""

    AUTOMATIC = "Automatic"
    APPROVE = "Approve"
    EXTERNAL = "External"


MIN_INTERVAL = Duration.parse("24h")


class Retraining(Base, frozen=True, kw_only=True):
    """Training Jobs of your own, started under guard rails. A trained version goes through trial, canary and soak like
    any other; spec is never written. None, when left out.
    """

    cron_job: Annotated[
        ObjectName,
        Meta(
            description=(
                "Name of a CronJob in this namespace with suspend: true. Its jobTemplate is the template of every run; "
                "its schedule is never used. Where the policies are installed it needs the label "
                'seatrial.dev/for-models: "true".'
            )
        ),
    ]
    triggers: Annotated[
        tuple[Trigger, ...],
        Meta(
            description=(
                "What starts a run by itself. Quality: labels prove that answers have become worse. Drift: a column "
                "has moved beyond its tolerance. Age: the version that serves was promoted maxAge ago. The retrain "
                "command always works. Missing, outside or unseen values start none: bad data is nothing to learn from."
            ),
            max_length=3,
        ),
    ] = ()
    max_age: (
        Annotated[
            Duration,
            Meta(description="With trigger Age: how old the version that serves may become. Left out without it."),
        ]
        | None
    ) = None
    min_interval: Annotated[
        Duration,
        Meta(
            description=(
                "Least time between the starts of two runs. After a run without a good version it doubles, with each "
                "one in a row, up to eight times as long."
            )
        ),
    ] = MIN_INTERVAL
    max_runs: Annotated[int, Meta(description="Runs within 30 days at most.", ge=1, le=100)] = 8
    max_attempts: Annotated[
        int,
        Meta(
            description=(
                "Runs in a row without a good version after which none is started any more: until the retrain command, "
                "another spec.model or another jobTemplate."
            ),
            ge=1,
            le=10,
        ),
    ] = 3
    timeout: Annotated[Duration, Meta(description="A run that takes longer has failed.")] = Duration.parse("6h")
    adopt: Annotated[
        Adopt,
        Meta(
            description=(
                "What becomes of a trained version. Approve: it waits for the adopt command. Automatic: it begins by "
                "itself, and is rejected where its trial passed no declared test against Stable. External: it is "
                "recorded only; somebody else (Flux image automation, a pull request) changes spec.model."
            )
        ),
    ] = Adopt.APPROVE
    uri_prefix: (
        Annotated[
            str,
            Meta(
                description=(
                    "What the uri of a trained version must begin with, up to the end of a name in it, such as "
                    "oci://registry.example.com/churn. Left out, which adopt: External alone allows: any."
                ),
                pattern=r"^(https?|s3|gs|az|oci|pvc)://[^ /?#@%\\]+(/[^ ?#@%\\]*)?$",
                max_length=512,
                extra_json_schema=form("the beginning of a uri, such as oci://registry.example.com/churn"),
            ),
        ]
        | None
    ) = None
