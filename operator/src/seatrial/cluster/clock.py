"""The API server's time, carried by a monotonic clock, so that a jump of the operator's own clock moves nothing.

Every answer has a Date header in whole seconds. It lags the true time by up to a second, hence an answer only ever
moves our idea of the time forward; only when the server is clearly behind it (its clock was set back) is it followed.
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from seatrial.cluster import errors

_SET_BACK = timedelta(seconds=2)  # more than the header's resolution and a slow answer together


class ServerClock:
    """Time of the API server, learned from the Date headers of its answers."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._origin: datetime | None = None  # server time at monotonic zero

    def heard(self, date: str | None) -> None:
        """Takes note of a Date header; anything that isn't a date is passed over, proxies may send it."""
        try:
            moment = email.utils.parsedate_to_datetime(date or "").astimezone(UTC)
        except ValueError:
            return
        origin = moment - timedelta(seconds=self._monotonic())
        if self._origin is None or origin > self._origin or self._origin - origin > _SET_BACK:
            self._origin = origin

    def now(self) -> datetime:
        """Aware, UTC, at most a second behind the server.

        Raises:
            Unavailable: the API server has not answered anything yet.
        """
        if self._origin is None:
            raise errors.Unavailable("the API server has not answered yet, its time is unknown")
        return self._origin + timedelta(seconds=self._monotonic())
