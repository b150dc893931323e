"""What the trial of a version came to: its model tests, and what became of the quantization."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from .base import Base, Count, Revision, Short, Text


class QuantizationStatus(Base, frozen=True, kw_only=True):
    """What became of the quantization; shares are percentages, speed-ups factors."""

    mode: Annotated[Short, Meta(description="The mode asked for.")]
    outcome: Annotated[Short, Meta(description="Applied, NotApplicable, ServedOriginal, Rejected or Off.")]
    reason: Annotated[Text, Meta(description="Why, in one sentence.")] = ""
    disagreement: Annotated[Short, Meta(description="Rows whose answer differs from the original's.")] = ""
    bound: Annotated[Short, Meta(description="maxDisagreement at the time.")] = ""
    rows: Annotated[Count, Meta(description="Rows compared.")] = 0
    speedup1: Annotated[Short, Meta(description="Times faster than the original at batch 1.")] = ""
    speedup32: Annotated[Short, Meta(description="Times faster than the original at batch 32.")] = ""


class TestStatus(Base, frozen=True, kw_only=True):
    """One model test."""

    __test__ = False  # not a test of ours

    name: Annotated[Short, Meta(description="The test's name in the model package.")]
    outcome: Annotated[Short, Meta(description="Pass or Fail.")]
    observed: Annotated[Short, Meta(description="What was measured.")] = ""
    bound: Annotated[Short, Meta(description="What was asked for.")] = ""
    rows: Annotated[Count, Meta(description="Rows tested.")] = 0


class TrialStatus(Base, frozen=True, kw_only=True):
    """The trial of the newest tried revision."""

    revision: Revision
    outcome: Annotated[Short, Meta(description="Passed, Rejected or Failed.")]
    message: Annotated[Text, Meta(description="Cause and remedy, in one sentence.")] = ""
    quantization: QuantizationStatus | None = None
    tests: Annotated[tuple[TestStatus, ...], Meta(description="Each model test.", max_length=50)] = ()
    report_sha256: Annotated[
        Short, Meta(description="SHA-256 of the trial's report, as the trial itself stated it.")
    ] = ""
