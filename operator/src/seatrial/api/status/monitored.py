"""How the version that serves holds up: drift of what it is asked, and quality of what it answers."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from .base import Base, Count, Revision, Short


class DriftOutcome(enum.StrEnum):
    CLEAN = "Clean"
    SUSPECTED = "Suspected"
    DRIFTED = "Drifted"
    UNKNOWN = "Unknown"


class DriftedColumn(Base, frozen=True, kw_only=True):
    """A test of a column that alarms or is suspected. Shares are percentages; evidence is an e-value."""

    name: Annotated[Short, Meta(description="The feature or prediction.")]
    kind: Annotated[Short, Meta(description="Feature, Prediction or Attribution.")]
    test: Annotated[
        Short, Meta(description="Shape, or of bad data: Missing, Outside (of the reference's range or categories).")
    ]
    outcome: Annotated[DriftOutcome, Meta(description="Drifted or Suspected.")]
    where: Annotated[Short, Meta(description="The rows that moved, in words of values.")] = ""
    share: Annotated[Short, Meta(description="Share of the rows that lay there.")] = ""
    reference: Annotated[Short, Meta(description="Share of the reference rows that lies there.")] = ""
    tolerated: Annotated[Short, Meta(description="Share up to which nothing counts as moved.")] = ""
    rows: Annotated[Count, Meta(description="Rows looked at.")] = 0
    window: Annotated[Short, Meta(description="Over which time.")] = ""
    evidence: Annotated[Short, Meta(description="E-value against the share being within what is tolerated.")] = ""
    bound: Annotated[Short, Meta(description="The e-value that is an alarm.")] = ""
    since: Annotated[datetime, Meta(description="Since when it alarms.")] | None = None

    @property
    def bad_data(self) -> bool:
        """Whether rows are missing or unlike anything known: nothing to learn from."""
        return self.test in ("Missing", "Outside")


class DriftStatus(Base, frozen=True, kw_only=True):
    """Whether traffic has moved away from what stable was made for. Written when that changes, and once a day."""

    revision: Revision
    outcome: Annotated[DriftOutcome, Meta(description="Clean, Suspected, Drifted or Unknown.")]
    since: Annotated[datetime, Meta(description="Since when the outcome is this.")]
    at: Annotated[datetime, Meta(description="End of the hours that it was last written about.")]
    accepted_at: Annotated[datetime, Meta(description="When the accept-drift command was last followed.")] | None = None
    columns: Annotated[
        tuple[DriftedColumn, ...], Meta(description="Tests that alarm or are suspected, strongest first.", max_length=5)
    ] = ()

    @property
    def alarms(self) -> tuple[DriftedColumn, ...]:
        """Those of the columns that alarm."""
        return tuple(one for one in self.columns if one.outcome is DriftOutcome.DRIFTED)

    @property
    def bad_data(self) -> bool:
        """Whether one of the alarms is of bad data."""
        return any(one.bad_data for one in self.alarms)


class QualityOutcome(enum.StrEnum):
    HOLDS = "Holds"
    SUSPECTED = "Suspected"
    DROPPED = "Dropped"
    UNKNOWN = "Unknown"


class QualityStatus(Base, frozen=True, kw_only=True):
    """How often stable's answers turn out wrong, by labels of whole days. Written when that changes, and once a day."""

    revision: Revision
    outcome: Annotated[QualityOutcome, Meta(description="Holds, Suspected, Dropped or Unknown.")]
    since: Annotated[datetime, Meta(description="Since when the outcome is this.")]
    at: Annotated[datetime, Meta(description="When it was last written.")]
    until: Annotated[datetime, Meta(description="End of the days of requests that were looked at.")] | None = None
    window: Annotated[Short, Meta(description="Over which time.")] = ""
    labelled: Annotated[Count, Meta(description="Rows with a label.")] = 0
    wrong: Annotated[Count, Meta(description="Those of them that were wrong.")] = 0
    share: Annotated[Short, Meta(description="Share of wrong rows.")] = ""
    low: Annotated[Short, Meta(description="What the share is above, with 99%.")] = ""
    high: Annotated[Short, Meta(description="What it is below, with 99%.")] = ""
    limit: Annotated[Short, Meta(description="Share up to which it counts as no worse.")] = ""
    against: Annotated[
        Short, Meta(description="Where the limit is from: Maximum, as in the spec; Holdout; FirstWeeks.")
    ] = ""
    evidence: Annotated[Short, Meta(description="E-value against the share being within the limit.")] = ""
    bound: Annotated[Short, Meta(description="The e-value that is an alarm.")] = ""
    estimated: Annotated[
        Short, Meta(description="Share of wrong rows that confidence alone lets expect on the last day; never judged.")
    ] = ""
    estimated_low: Annotated[Short, Meta(description="Lower end of that, with 95%.")] = ""
    estimated_high: Annotated[Short, Meta(description="Upper end of that, with 95%.")] = ""
