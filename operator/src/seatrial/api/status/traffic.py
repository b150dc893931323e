"""Who was to get which share of the requests, and who did."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from .base import Base, Count, Short


class Share(Base, frozen=True, kw_only=True):
    """Requests answered, by arm, in the current step."""

    stable: Annotated[Count, Meta(description="Requests answered by stable.")] = 0
    candidate: Annotated[Count, Meta(description="Requests answered by the candidate.")] = 0


class Traffic(Base, frozen=True, kw_only=True):
    """What was asked of the traffic provider and what the request counters say."""

    provider: Annotated[Short, Meta(description="What shares the requests out: Relay, Service or GatewayAPI.")] = (
        "Service"
    )
    asked: Annotated[
        Short, Meta(description="Provider of the next rollout, where the one under way has to end with another one.")
    ] = ""
    desired_weight: Annotated[int, Meta(description="Candidate's share asked for, in percent.", ge=0, le=100)] = 0
    measured_share: (
        Annotated[str, Meta(description="Candidate's share of the requests in the current step.", max_length=16)] | None
    ) = None
    requests: Share | None = None
    relayed: Annotated[
        Short, Meta(description="Revision that stable's pods pass requests on to, or may not have stopped to yet.")
    ] = ""
    withdrawn_at: (
        Annotated[
            datetime,
            Meta(description="Since when they are told to pass on no more, as long as one of them may not follow yet."),
        ]
        | None
    ) = None

    @property
    def measured(self) -> float | None:
        """The measured share in percent, where it is one: anybody may have edited it."""
        figure = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)%", self.measured_share or "", re.ASCII)
        return float(figure[1]) if figure else None
