"""Labels that come late: complaints within minutes, confirmations after a day. Who blames whom, and when?

Twenty requests a second, a tenth of them for a candidate that has just begun, 8 % of stable's answers wrong. What is
wrong is complained of after ten minutes on average; what is right is confirmed a day later, so that for a new version
only complaints have come for a long time, and for stable both.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from seatrial.analysis import cohorts, evidence, quality

RATE, WEIGHT, WRONG = 20.0, 0.1, 0.08
COMPLAINT_MINUTES = 10.0
LONGEST = 180  # minutes of a canary
ALPHA, TOLERANCE = 0.01, 0.1
EVERY = 3  # minutes between looks


@dataclasses.dataclass(frozen=True)
class Labels:
    """Per minute of the request: rows of candidate and stable, and of their complaints the minutes of arrival."""

    rows: tuple[np.ndarray, np.ndarray]
    complaints: tuple[np.ndarray, np.ndarray]


def drawn(random: np.random.Generator, wrong: float) -> Labels:
    """One canary."""
    rows, complaints = [], []
    for share, rate in ((WEIGHT, wrong), (1 - WEIGHT, WRONG)):
        per_minute = random.poisson(RATE * 60 * share, LONGEST)
        count = random.binomial(per_minute, rate)
        asked = np.repeat(np.arange(LONGEST), count)
        arrives = asked + random.random(len(asked)) + random.exponential(COMPLAINT_MINUTES, len(asked))
        table, _, _ = np.histogram2d(asked, arrives, bins=(np.arange(LONGEST + 1), np.arange(LONGEST + 1)))
        rows.append(per_minute)
        complaints.append(table)
    return Labels((rows[0], rows[1]), (complaints[0], complaints[1]))


def by_cohort(labels: Labels, *, minutes: int = 2) -> int | None:
    """The minute at which the candidate is convicted as the operator does it; None: never."""
    for now in range(EVERY, LONGEST + 1, EVERY):
        seen = [
            cohorts.Cohort(
                candidate=cohorts.Answers(
                    rows=float(labels.rows[0][start : start + minutes].sum()),
                    wrong=float(labels.complaints[0][start : start + minutes, :now].sum()),
                ),
                stable=cohorts.Answers(
                    rows=float(labels.rows[1][start : start + minutes].sum()),
                    wrong=float(labels.complaints[1][start : start + minutes, :now].sum()),
                ),
            )
            for start in range(0, now - minutes, minutes)
        ]
        bound = 1 / (ALPHA * quality.SHARE)
        if quality.compare("quality", quality.wrong(seen), tolerance=TOLERANCE, bound=bound).outcome == "Fail":
            return now
    return None


def by_arrival(random: np.random.Generator, labels: Labels) -> int | None:
    """The same where wrong labels are held against the labels that arrive in the same minute."""
    wrong = [table.sum(axis=0) for table in labels.complaints]
    confirmed = random.poisson(RATE * 60 * (1 - WRONG), LONGEST)  # of yesterday's requests, all of them stable's
    odds = np.divide(wrong[0], wrong[1] + confirmed, where=wrong[0] > 0, out=np.zeros(LONGEST))
    found = evidence.relative(
        wrong[0], wrong[1], odds=odds, margin=1 + TOLERANCE, dispersion=quality.LEAST_PHI, ratios=quality.RATIOS
    )
    reached = np.flatnonzero(found >= math.log(1 / (ALPHA * quality.SHARE)))
    return int(reached[0]) + 1 if len(reached) else None


@dataclasses.dataclass(frozen=True)
class Found:
    """Minutes until conviction, of those that were convicted."""

    canaries: int
    minutes: tuple[int, ...]

    @property
    def share(self) -> float:
        return len(self.minutes) / self.canaries

    @property
    def median(self) -> float:
        return float(np.median(self.minutes)) if self.minutes else math.inf


def run(wrong: float, *, canaries: int, seed: int, arrival: bool = False) -> Found:
    """So many candidates that are wrong with this share."""
    random = np.random.default_rng(seed)
    minutes = []
    for _ in range(canaries):
        labels = drawn(random, wrong)
        minutes.append(by_arrival(random, labels) if arrival else by_cohort(labels))
    return Found(canaries, tuple(one for one in minutes if one is not None))
