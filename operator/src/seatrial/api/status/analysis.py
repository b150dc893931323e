"""The last look at the evidence, metric by metric."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from .base import Base, Short, Text


class MetricStatus(Base, frozen=True, kw_only=True):
    """One compared metric. Shares are percentages; evidence is an e-value, rolled back at the bound."""

    name: Annotated[Short, Meta(description="Which metric: errors, latency, rejections, degraded or shed.")]
    stable: Annotated[Short, Meta(description="Stable's share.")] = ""
    candidate: Annotated[Short, Meta(description="Candidate's share.")] = ""
    ratio: Annotated[Short, Meta(description="Candidate's share over stable's.")] = ""
    low: Annotated[Short, Meta(description="Lower end of the confidence interval of the ratio.")] = ""
    high: Annotated[Short, Meta(description="Upper end of the confidence interval of the ratio.")] = ""
    evidence: Annotated[Short, Meta(description="E-value against the candidate.")] = ""
    bound: Annotated[Short, Meta(description="The e-value at which the candidate is rolled back.")] = ""
    outcome: Annotated[Short, Meta(description="Pass, Fail, NoData, Inconclusive or Error.")] = ""

    @property
    def progress(self) -> float | None:
        return progress(self.evidence, self.bound)


def progress(evidence: str, bound: str) -> float | None:
    """How far evidence has come to its bound, on the scale on which it grows, its logarithm: 0 for none, 1 at the
    bound; None where there is nothing to tell.
    """
    try:
        has, needs = float(evidence), float(bound)
    except ValueError:
        return None
    return math.log(max(has, 1.0)) / math.log(needs) if needs > 1 else None


class AnalysisStatus(Base, frozen=True, kw_only=True):
    """The last look at the evidence that changed something."""

    outcome: Annotated[Short, Meta(description="Pass, Fail, NoData, Inconclusive or Error.")]
    at: Annotated[datetime, Meta(description="When it was looked at.")]
    window: Annotated[Short, Meta(description="Span of time the evidence covers.")] = ""
    source: Annotated[
        Short, Meta(description="Where the numbers are from: Prometheus, Pods (read directly), or both.")
    ] = ""
    message: Annotated[Text, Meta(description="What decided, in one sentence.")] = ""
    metrics: Annotated[tuple[MetricStatus, ...], Meta(description="Each compared metric.", max_length=16)] = ()
