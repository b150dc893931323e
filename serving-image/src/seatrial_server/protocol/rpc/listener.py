"""The gRPC port: opens, bounds what a client may hold, lets go on shutdown.

grpcio's asyncio server runs on the event loop of the REST port, so both feed one queue without a lock or a thread
switch. A connection that is too old gets a GOAWAY from grpcio, after which the client opens another; no call is lost.
Its age is short, because this is also how connections leave a server that is being stopped.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol

import grpc
import grpc.aio
import msgspec

_MAX_CALLS = 2048
_MAX_STREAMS = 256
_HANDSHAKE_MILLISECONDS = 10_000
_LOOK_SECONDS = 0.05
_AGE_JITTER = 1.2  # grpcio spreads the age by a tenth


class Ages(msgspec.Struct, frozen=True):
    """Seconds. After `quiet` without a call a stopping server takes it that nobody calls any more.

    `connection` is what a stopping pod can wait for: grpcio ends calls that come while it says GOAWAY, so connections
    must have aged away before. A promotion, and shares with provider Service, need no more.
    """

    connection: float = 10.0
    keep_accepting: float = 3.0
    quiet: float = 1.0
    finish: float = 10.0


class Service(Protocol):
    """What the port serves: a `grpc.GenericRpcHandler`. `last_call` is the monotonic time of the last call's start."""

    last_call: float


class Beside(Protocol):
    """What the port offers besides: a `grpc.GenericRpcHandler` for all other calls."""

    def leave(self) -> None:
        """The server is being stopped."""

    def end(self) -> None:
        """No stream may stay."""


class Listener:
    """One port with the calls of one model."""

    def __init__(
        self,
        service: Service,
        *,
        max_message_bytes: int,
        beside: Beside | None = None,
        max_connections: int = 1024,
        ages: Ages | None = None,
    ) -> None:
        self._ages, self._service, self._beside = ages or Ages(), service, beside
        options = {
            "grpc.max_receive_message_length": max_message_bytes,
            "grpc.max_send_message_length": -1,
            "grpc.max_concurrent_streams": _MAX_STREAMS,
            "grpc.max_allowed_incoming_connections": max_connections,
            "grpc.max_connection_age_ms": int(self._ages.connection * 1000),
            "grpc.max_connection_age_grace_ms": int(self._ages.finish * 1000),
            "grpc.server_handshake_timeout_ms": _HANDSHAKE_MILLISECONDS,
            "grpc.so_reuseport": 0,  # a port that is taken must be an error
        }
        self._server = grpc.aio.server(options=list(options.items()), maximum_concurrent_rpcs=_MAX_CALLS)
        self._server.add_generic_rpc_handlers((service,) if beside is None else (service, beside))

    async def open(self, *, host: str | None, port: int, credentials: Any = None) -> int:
        """Listen, encrypted where there are credentials; returns the port, which differs from the argument when that
        is 0. Raises OSError.
        """
        address = f"{host or '[::]'}:{port}"
        try:
            bound: int = (
                self._server.add_insecure_port(address)
                if credentials is None
                else self._server.add_secure_port(address, credentials)
            )
        except RuntimeError as error:
            raise OSError(f"port {port} of {host or 'all addresses'} cannot be used for gRPC") from error
        await self._server.start()
        return bound

    async def drain(self) -> None:
        """Let go without losing a call: accept while endpoints lag behind, let connections age away, then stop.

        `stop` cancels what reaches the server while its GOAWAY is on the way, so it has to come when nobody calls.
        """
        if self._beside is not None:
            self._beside.leave()
        await asyncio.sleep(self._ages.keep_accepting)
        for _ in range(int(self._ages.connection * _AGE_JITTER / _LOOK_SECONDS)):
            if time.monotonic() - self._service.last_call > self._ages.quiet:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        if self._beside is not None:
            self._beside.end()
        await self._server.stop(self._ages.finish)
