"""`spec.monitoring`: how the model is watched for as long as it serves. Live: a change of it is no rollout."""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta

from seatrial.api.base import Base, form
from seatrial.api.values import Ratio, percent

from .feedback import Feedback, QualityAfter


class DriftMode(enum.StrEnum):
    WATCH = "Watch"
    OFF = "Off"


class Season(enum.StrEnum):
    """After which time traffic looks the same again: found out, a day, or a week."""

    AUTO = "Auto"
    DAY = "24h"
    WEEK = "168h"


class Drift(Base, frozen=True, kw_only=True):
    """When the traffic has moved away from what the model was made for. Judged where the package has reference rows."""

    mode: Annotated[
        DriftMode, Meta(description="Watch, or Off: rows are not counted, and nothing is judged or said.")
    ] = DriftMode.WATCH
    tolerance: Annotated[
        Ratio, Meta(description="Share of a column's rows that may lie elsewhere than in the reference.")
    ] = percent("10%")
    gross: Annotated[
        Ratio, Meta(description="The same for the last hour alone, which finds a pipeline that broke.")
    ] = percent("50%")
    invalid: Annotated[
        Ratio, Meta(description="Missing, outside or unseen rows that are tolerated beyond the reference's own share.")
    ] = percent("1%")
    season: Annotated[
        Season,
        Meta(
            description=(
                "After which time traffic looks the same again. Auto: days may stray as far as they did in an earlier "
                "week. 24h: every day is held to the tolerance. 168h: only whole weeks are looked at."
            )
        ),
    ] = Season.AUTO
    false_alarm_rate: Annotated[
        Ratio,
        Meta(description="Chance of any false alarm within a year, over all columns and however often one looks."),
    ] = percent("5%")
    ignore: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...],
        Meta(description="Columns that are counted and not judged, such as a hash of the request.", max_length=64),
    ] = ()


class Samples(Base, frozen=True, kw_only=True):
    """Requests with their answers, sent to an HTTP sink that keeps them. None, when left out."""

    share: Annotated[
        Ratio,
        Meta(description="Share of the requests; the request's id decides, so both versions sample the same ones."),
    ] = percent("0.1%")
    sink: Annotated[
        str,
        Meta(
            description=(
                "URL that takes CloudEvents in batches, such as http://vector.logs.svc:8080/. Columns that the package "
                "marks sensitive are masked. What it doesn't take in time is dropped and counted."
            ),
            pattern=r"^https?://[^\s?#@]+$",
            extra_json_schema=form("an address that begins with http:// or https://, without ?, # and a user"),
            max_length=512,
        ),
    ]


class Attributions(Base, frozen=True, kw_only=True):
    """Which feature moves answers most, watched as drift is. Off, when left out."""

    rows_per_second: Annotated[
        int, Meta(description="Rows a pod looks at, as far as they take 1 % of the model's time.", ge=0, le=100)
    ] = 1


class Monitoring(Base, frozen=True, kw_only=True):
    """How the model is watched while it serves. A change of it rolls out nothing."""

    drift: Drift = Drift()
    attributions: Attributions | None = None
    samples: Samples | None = None
    feedback: Feedback | None = None
    quality: QualityAfter | None = None
