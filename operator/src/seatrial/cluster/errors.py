"""What a call to the Kubernetes API can end with, as one tree.

    ClusterError
    +-- Conflict        409: the object changed since it was read, or exists already; read again and decide anew
    +-- NotFound        404: the object, its namespace or its kind isn't there
    +-- Refused         400, 403, 422 and the like: the same request would be refused again; the API's own words
    +-- Unavailable     401, 408, 429, 5xx, network, timeout: try again later; a write may or may not have happened
    +-- LeadershipLost  another replica may lead now; stop acting at once

Nothing of the HTTP library or the Kubernetes client leaves `seatrial.cluster`.
"""

from __future__ import annotations


class ClusterError(Exception):
    """Base of everything this package raises."""


class Conflict(ClusterError):
    """The object isn't what it was when it was read."""


class NotFound(ClusterError):
    """There is no such object, namespace or kind."""


class Refused(ClusterError):
    """The API server understood and said no: quota, policy, permission, validation.

    Attributes:
        status: HTTP status.
        reason: the API's CamelCase reason (`Forbidden`, `Invalid`), "" when it gave none.
        message: the API's sentence, fit for a condition.
    """

    def __init__(self, status: int, *, reason: str, message: str) -> None:
        super().__init__(f"{reason or status}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class Unavailable(ClusterError):
    """No usable answer. A write may have been made nevertheless: writes must be repeatable.

    Attributes:
        retry_after: seconds the server asked to wait, None when it said nothing.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LeadershipLost(ClusterError):
    """The lease could not be renewed in time, or another replica holds it."""
