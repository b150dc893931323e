"""How much evidence is enough: the promise of few false alarms, divided over everything that is looked at in a year.

Each look at each test is an e-value, whose mean without a change beyond the margin is at most 1. By Markov's inequality
and the union bound the chance that *any* of them reaches the bound within a year is at most the rate, whatever they
have to do with each other. It is cheap because evidence grows exponentially with the rows.
"""

from __future__ import annotations

from seatrial.drift import windows

HOURS = 365 * 24
LOOKS = HOURS + 365 * len((*windows.DAYS, *windows.WEEKS)) + HOURS
"""A year's: at the last day each hour, at longer windows each day, at the last hour each hour."""


def of(rate: float, tests: int) -> float:
    """Evidence at which a test alarms."""
    return tests * LOOKS / rate
