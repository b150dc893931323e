"""The server's exception tree: every failure carries what its edge needs to answer.

    ServerError
    ├── RequestError     one request cannot be answered: HTTP status, machine-readable code, how it is counted
    ├── Rejected         a verdict about the model: the trial reports it, a pod refuses to start with it
    └── Unavailable      the surroundings failed (store unreachable, disk full): says nothing about the model

Messages reach clients, events and pod logs: they name the field to change and never hold credentials or tracebacks.
"""

from __future__ import annotations

from typing import Literal

Outcome = Literal["ok", "degraded", "rejected", "error", "shed"]
Reason = Literal["DigestMismatch", "FetchRefused", "InvalidModel", "QuantizationRejected", "TestFailed"]


class ServerError(Exception):
    """Root of the tree; the text is the message for people."""


class RequestError(ServerError):
    """One request fails; the connection, the batch and the other rows do not."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        outcome: Outcome = "rejected",
        details: dict[str, str | int] | None = None,
        headers: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.outcome = outcome
        self.details = details or {}
        self.headers = headers


class Rejected(ServerError):
    """The model must not be served; `reason` is one of the reasons of the trial report."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unavailable(ServerError):
    """The step could not be carried out and may succeed when tried again."""
