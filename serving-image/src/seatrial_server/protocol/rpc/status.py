"""Which gRPC status an error becomes; the HTTP status is the key of both mappings."""

from __future__ import annotations

import json

import grpc

from seatrial_server.host import errors

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_MAX_TEXT = 1000  # trailers share a few KiB with everything that proxies add
DETAILS = "error-details"


def code(error: errors.RequestError) -> grpc.StatusCode:
    """INTERNAL for whatever is not the client's or the load's doing."""
    return _CODES.get(error.status, grpc.StatusCode.INTERNAL)


def text(error: errors.RequestError) -> str:
    """The message, bounded."""
    return str(error)[:_MAX_TEXT]


def trailers(error: errors.RequestError) -> tuple[tuple[str, str], ...]:
    """Machine-readable detail as JSON, and when to come back."""
    details = json.dumps({"code": error.code, **error.details})
    result = [(DETAILS, details)] if len(details) <= _MAX_TEXT else []
    for line in error.headers.decode().splitlines():
        name, _, value = line.partition(": ")
        result.append((name.lower(), value))
    return tuple(result)
