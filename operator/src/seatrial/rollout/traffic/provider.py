"""What a traffic provider can be asked: the same questions to each, answered from a snapshot and a status alone.

A provider is a module with these functions. `after` is the status as it shall be once this pass has been carried out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from seatrial.api import status
from seatrial.rollout import facts

Object = dict[str, Any]


class Provider(Protocol):
    """A way of sharing requests out between two versions."""

    def capacity(self, weight: int, replicas: int, *, shadow: int = 0) -> int:
        """Candidate pods beside `replicas` stable ones for a share of `weight` percent and copies of `shadow` percent
        of the rest; all replicas at 100.
        """
        ...

    def objects(self, snapshot: facts.Snapshot, after: status.Status) -> Iterator[Object]:
        """What routes the requests as this status asks for."""
        ...

    def in_force(self, snapshot: facts.Snapshot, after: status.Status) -> bool:
        """Requests go where this status says, and nowhere else."""
        ...

    def routed(self, snapshot: facts.Snapshot, after: status.Status) -> tuple[bool, str] | None:
        """The condition `Routed`: whether the way is as asked for, in words; None while there is nothing to tell of."""
        ...

    def drained(self, snapshot: facts.Snapshot, after: status.Status, revision: str) -> bool:
        """Nothing sends the revision's pods requests, nothing will, and none is on its way: they may go."""
        ...

    def off(self, snapshot: facts.Snapshot, revision: str) -> bool:
        """New requests no longer reach the revision."""
        ...
