"""Builders of slots for the tests of the statistics."""

from collections.abc import Sequence

from seatrial.analysis import policy, slots

PLAIN = policy.Policy(dispersion=1.0, spread=0.0)


def arm(requests: int, errors: int = 0, **more: object) -> slots.ArmCounts:
    return slots.ArmCounts(requests=requests, errors=errors, **more)  # type: ignore[arg-type]


def slot(candidate: slots.ArmCounts, stable: slots.ArmCounts, seconds: float = 15.0) -> slots.Slot:
    return slots.Slot(seconds=seconds, stable=stable, candidate=candidate)


def errors(rows: Sequence[tuple[int, int, int, int]]) -> list[slots.Slot]:
    """Slots from rows of candidate requests, stable requests, candidate errors, stable errors."""
    return [slot(arm(n_c, x_c), arm(n_s, x_s)) for n_c, n_s, x_c, x_s in rows]


def pods(*counts: tuple[int, int]) -> slots.ArmCounts:
    """An arm whose pods had these requests and errors."""
    return slots.total(tuple(slots.PodCounts(requests=n, errors=x) for n, x in counts))
