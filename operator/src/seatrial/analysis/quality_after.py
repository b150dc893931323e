"""Is a version that serves alone wrong too often, by labels of requests that are old enough to have theirs? Pure.

Two questions of the same rows: more than the spec allows, and more than `1 + tolerance` times what its holdout
promised. The holdout's own rate is not known, only its record: an upper limit of it stands in, as in the soak. Asked in
windows of whole days, as often as `LOOKS` says, so that the chance of any false alarm within a year stays below the
rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from seatrial.analysis import evidence, judgement, soak

LOOKS = 365 * 6
DAYS = (1, 2, 3, 7, 14, 28)
TESTS = 2
LEAST_PHI, PHI_WEIGHT = 1.1, 5.0
USUAL_PART = 0.5
"""Of the usual share of labels, below which they are missing."""


class Day(msgspec.Struct, frozen=True):
    """Rows answered with a token on one day whose cohorts are all mature, those with a label, and the wrong ones."""

    rows: float
    labelled: float
    wrong: float


class Standing(msgspec.Struct, frozen=True):
    """Where quality stands. `dropped`: proven; `missing`: why labels can't be judged, in words."""

    labelled: float
    wrong: float
    low: float
    high: float
    limit: float
    log_evidence: float
    bound: float
    missing: str = ""

    @property
    def dropped(self) -> bool:
        return not self.missing and self.log_evidence >= math.log(self.bound)

    @property
    def share(self) -> float:
        return self.wrong / self.labelled if self.labelled else 0.0


def judge(
    days: Sequence[Day], *, most: float, tolerance: float, holdout: tuple[int, int] | None, rate: float
) -> Standing | None:
    """The strongest of all windows that end with the last day; None without a label.

    Args:
        most: share of wrong rows that is allowed.
        tolerance: tolerated excess over the holdout's error.
        holdout: rows of the trial's holdout, and those that were wrong; None where there was none.
        rate: of false alarms within a year.
    """
    bound = TESTS * LOOKS / rate
    limits = [most]
    if holdout is not None and holdout[0]:
        record = judgement.Counts(requests=holdout[0], events=holdout[1])
        limits.append((1 + tolerance) * soak.highest_rate(record, error=rate / TESTS, dispersion=LEAST_PHI))
    found = [_window(days[-count:], limit, bound) for count in DAYS if count <= len(days) for limit in limits]
    judged = [one for one in found if one.labelled]
    if not judged:
        return None
    strongest = max(judged, key=lambda one: one.log_evidence)
    return msgspec.structs.replace(strongest, missing=missing(days))


def missing(days: Sequence[Day]) -> str:
    """That the last day has fewer than half of the usual share of labels; nothing where there is no usual share yet."""
    usual = [day.labelled / day.rows for day in days[:-1] if day.rows]
    if not usual or not days[-1].rows:
        return ""
    share, middle = days[-1].labelled / days[-1].rows, float(np.median(usual))
    if share >= USUAL_PART * middle:
        return ""
    return f"labels came for {share:.1%} of the rows of the last day, usually for {middle:.1%}"


def _window(days: Sequence[Day], limit: float, bound: float) -> Standing:
    labelled, wrong = (np.array([getattr(day, name) for day in days]) for name in ("labelled", "wrong"))
    noise = _phi(labelled, wrong)
    low, high = evidence.share_limits(wrong, labelled, dispersion=noise)
    course = evidence.absolute(wrong, labelled, most=limit, dispersion=noise)
    return Standing(
        labelled=float(labelled.sum()),
        wrong=float(wrong.sum()),
        low=low,
        high=min(high, 1.0),
        limit=limit,
        log_evidence=float(course[-1]),
        bound=bound,
    )


def _phi(labelled: evidence.Floats, wrong: evidence.Floats) -> float:
    """Days differ by more than chance: at least 1.1, as between cohorts in `quality`."""
    some = labelled > 0
    if some.sum() < 2 or not wrong.sum():
        return LEAST_PHI
    share = float(wrong.sum() / labelled.sum())
    expected = labelled[some] * share * max(1 - share, 1e-9)
    squares = float(((wrong[some] - labelled[some] * share) ** 2 / expected).sum())
    return max(LEAST_PHI, (squares + PHI_WEIGHT * LEAST_PHI) / (int(some.sum()) - 1 + PHI_WEIGHT))
