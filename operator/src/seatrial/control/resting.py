"""A Prometheus that doesn't answer is left alone for a while: an outage costs few questions, however many wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from seatrial.api import spec
from seatrial.prometheus import errors

REST_SECONDS = 30.0
_Result = TypeVar("_Result")
Place = tuple[str, str]


def place(namespace: str, source: spec.PrometheusSource | None) -> Place:
    """Which Prometheus that is: the operator's, or that of an object's spec."""
    return ("", "") if source is None else (namespace, source.url or "")


class Resting:
    """Which of them rest, and why."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._resting: dict[Place, tuple[float, errors.PrometheusError]] = {}

    async def asked(self, where: Place, question: Callable[[], Awaitable[_Result]]) -> _Result:
        """The answer. Raises PrometheusError, at once while it rests."""
        now = self._monotonic()
        self._resting = {one: known for one, known in self._resting.items() if now < known[0]}
        if where in self._resting:
            raise self._resting[where][1].with_traceback(None)  # else it grows with everybody who is told
        try:
            return await question()
        except errors.AnswerTooLarge:  # of one object, which nobody else has to wait for
            raise
        except errors.PrometheusError as error:
            self._resting[where] = (self._monotonic() + REST_SECONDS, error)
            raise
