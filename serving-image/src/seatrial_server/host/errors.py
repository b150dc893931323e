"""The server's exception tree: every failure carries what its edge needs to answer.

    ServerError
    ├── RequestError     one request cannot be answered: HTTP status, machine-readable code, how it is counted
    ├── Rejected         a verdict about the model: the trial reports it, a pod refuses to start with it
    └── Unavailable      the step failed (store away, disk full, no memory): says nothing about the model

Messages reach clients, events and pod logs: they name the field to change and never hold credentials or tracebacks.
"""

from __future__ import annotations

from typing import Literal

Outcome = Literal["ok", "degraded", "rejected", "error", "shed"]
Reason = Literal[
    "BaselineUnavailable", "DigestMismatch", "FetchRefused", "InvalidModel", "QuantizationRejected", "TestFailed"
]

_OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "Failed to allocate memory", "Unable to allocate")


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
    """The step could not be carried out; `retryable`: it may succeed when tried again, with nothing changed."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


def of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out; ONNX Runtime has no type of its own for that."""
    text = str(error)
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)


def internal() -> RequestError:
    """A defect of ours, which is all that the client is told."""
    return RequestError(500, "internal error", code="Internal", outcome="error")
