"""What the user allows: the analysis part of the spec, as numbers."""

from __future__ import annotations

from typing import Annotated

import msgspec

from seatrial.api import spec

MOST_FALSE_ROLLBACKS = 0.2  # beyond it the shares of guards and soak no longer fit under the promised rate, see verdict

FLOOR_PART = 10  # a tenth of the threshold


class Errors(msgspec.Struct, frozen=True):
    """Errors: absolute maximum share, and tolerated excess over stable. Degraded answers use the same tolerance."""

    max: float = 0.05
    tolerance: float = 0.10


class Latency(msgspec.Struct, frozen=True):
    """At most `max` of the requests slower than `threshold` seconds; tolerated excess over stable at any edge from
    `floor` seconds upward, in requests and in time.
    """

    threshold: float = 0.1
    floor: float = 0.01
    max: float = 0.01
    tolerance: float = 0.25


class Rejections(msgspec.Struct, frozen=True):
    """Requests refused as the client's fault: tolerated excess over stable. Shed ones have the same."""

    tolerance: float = 0.25


class Policy(msgspec.Struct, frozen=True):
    """Fractions (0.01 is 1 %) and seconds. `dispersion` and `spread` are measured when None."""

    false_rollback_rate: float = 0.01
    interval: float = 15.0
    errors: Errors = Errors()
    latency: Latency = Latency()
    rejections: Rejections = Rejections()
    with_outcomes: bool = False  # quality or outcomes are judged as well, and have a part of the rate
    disagreement: float | None = None  # share of the rows of copies whose answer may differ; not judged when None
    dispersion: float | None = None
    spread: float | None = None


class Tolerances(spec.Analysis, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The analysis part of the spec, as users write it, with `dispersion` and `spread` where they are given by hand."""

    dispersion: Annotated[float, msgspec.Meta(ge=1)] | None = None
    spread: Annotated[float, msgspec.Meta(ge=0)] | None = None


def of(analysis: spec.Analysis, *, steps: int = 1, window: int | None = None) -> Policy:
    """What is tolerated in one of `steps` steps, each judged on its own: they share the rate of false rollbacks.

    A step that begins again (after blind time) is judged anew. Give the `window`'s number, from 1: the first has nine
    tenths of the step's part, the k-th a tenth of it divided by k (k - 1), so that however often it resumes the sum
    stays within it. Without a number the window has the step's whole part.

    Raises:
        ValueError: a value that the resource's schema would refuse; names the field.
    """
    threshold, floor = analysis.latency.threshold, analysis.latency.floor
    given = analysis if isinstance(analysis, Tolerances) else None
    if not 0 < analysis.false_rollback_rate <= MOST_FALSE_ROLLBACKS:
        raise ValueError(f"falseRollbackRate must be above 0% and at most 20%, not {analysis.false_rollback_rate}")
    for field, span in (("interval", analysis.interval), ("latency.threshold", analysis.latency.threshold)):
        if not span:
            raise ValueError(f"{field} must be longer than zero")
    return Policy(
        false_rollback_rate=analysis.false_rollback_rate / steps * _part(window),
        interval=analysis.interval.total_seconds(),
        errors=Errors(max=analysis.errors.max, tolerance=analysis.errors.tolerance),
        latency=Latency(
            threshold=threshold.total_seconds(),
            floor=threshold.total_seconds() / FLOOR_PART if floor is None else floor.total_seconds(),
            max=analysis.latency.max,
            tolerance=analysis.latency.tolerance,
        ),
        rejections=Rejections(tolerance=analysis.rejections.tolerance),
        disagreement=analysis.disagreement.max if analysis.disagreement is not None else None,
        with_outcomes=analysis.quality is not None or bool(analysis.outcomes),
        dispersion=given.dispersion if given else None,
        spread=given.spread if given else None,
    )


def _part(window: int | None) -> float:
    if window is None:
        return 1.0
    return 0.9 if window == 1 else 0.1 / (window * (window - 1))
