"""The candidate's pods as one stable pod sees them: which of them is next, and which of them rests. Pure.

A pod that fails again and again rests for a moment, so that a dead one costs a few requests a second and not its share.
Only failures to answer count: a pod whose answers are errors is reachable, and the errors are what is to be found out.
"""

from __future__ import annotations

from collections.abc import Iterable

FAILURES_IN_A_ROW = 5
REST_SECONDS = 1.0
MAX_IN_FLIGHT = 256


class Target:
    """One address."""

    __slots__ = ("address", "failures", "in_flight", "rests_until")

    def __init__(self, address: str) -> None:
        self.address = address
        self.in_flight = self.failures = 0
        self.rests_until = 0.0


class Targets:
    """All addresses of one assignment. What is known of an address is kept while assignments name it."""

    def __init__(self) -> None:
        self._known: dict[str, Target] = {}
        self._current: list[Target] = []
        self.in_flight = 0

    def name(self, addresses: Iterable[str]) -> None:
        """These and no others get requests from now on."""
        self._current = [self._known.get(address) or Target(address) for address in addresses]
        self._known = {target.address: target for target in self._current}

    def take(self, *, now: float) -> Target | None:
        """Who gets the next request: the least busy; None when it must be answered here."""
        if self.in_flight >= MAX_IN_FLIGHT:
            return None
        awake = [target for target in self._current if target.rests_until <= now]
        if not awake:
            return None
        target = min(awake, key=_in_flight)
        target.in_flight += 1
        self.in_flight += 1
        return target

    def give_back(self, target: Target, *, answered: bool, now: float) -> None:
        """The request is over; `answered`: whatever the answer was."""
        target.in_flight -= 1
        self.in_flight -= 1
        if answered:
            target.failures = 0
            return
        target.failures += 1
        if target.failures >= FAILURES_IN_A_ROW:
            target.rests_until = now + REST_SECONDS


def _in_flight(target: Target) -> int:
    return target.in_flight
