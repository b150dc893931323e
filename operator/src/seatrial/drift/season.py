"""How far single days may lie from the reference: as far as days lay from their own week, lately.

A reference is a mix of whole weeks, and a Sunday is not. So windows of less than a week are held against the reference
with the room that single days needed in a week that had ended before the window began; whole weeks need none.
"""

from __future__ import annotations

import numpy as np

from seatrial.api.spec import Season as Season
from seatrial.drift import margin
from seatrial.drift.columns import Array, Floats

WEEK = 7
FIRST_WEEK = 0.25
"""Room while no whole week is known."""
NOTHING = 0.02
STEP = 0.05
BY_CHANCE = 1.5


def stray(days: Floats, dispersion: Array) -> Floats:
    """How far the farthest of some days lies from their mixture, beyond chance: [days, ..., bins] -> [...].

    Total variation, 0 or in steps of 5 % upwards.
    """
    rows = np.maximum(days.sum(axis=-1, keepdims=True), 1)
    together = days.sum(axis=0)
    mixture = (together / np.maximum(together.sum(axis=-1, keepdims=True), 1))[None]
    distance = 0.5 * np.abs(days / rows - mixture).sum(axis=-1)
    by_chance = margin.chance(mixture, rows / np.asarray(dispersion)[..., None])
    beyond = (distance - BY_CHANCE * by_chance).max(axis=0)
    return np.where(beyond < NOTHING, 0.0, np.ceil(beyond / STEP - 1e-9) * STEP)


def week(known: Array, *, before: int) -> slice | None:
    """The last week of known days without a gap that ended `before` so many days ago, or earlier."""
    ends = range(len(known) - before, WEEK - 1, -1)
    return next((slice(end - WEEK, end) for end in ends if known[end - WEEK : end].all()), None)
