"""Who is at the other end of a new connection: asked before any byte of a client goes there.

Addresses are given to other pods, and an assignment may be wrong. A connection stays with one process, so once is
enough; the answers' own mark is held against it all the same.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable

import msgspec

from seatrial_server.relay import encryption, headers, wire
from seatrial_server.relay.outcomes import Failure

_QUESTION = b"GET /v2/health/live HTTP/1.1\r\nhost: relay\r\n\r\n"
_CONNECT_SECONDS = 1.0


class Peer(msgspec.Struct, frozen=True):
    """Who should answer, and where."""

    address: str
    port: int
    revision: bytes
    tls: bool = False

    def stranger(self) -> Failure:
        """Somebody else answers there."""
        return Failure("unreachable", f"{self.address}: another revision answers there")

    def ended(self) -> Failure:
        """The connection has."""
        return Failure("unreachable", f"{self.address}: the connection ended")


async def connected(peer: Peer, make: Callable[[], wire.Wire]) -> wire.Wire | Failure:
    """A connection to this peer and nobody else."""
    made = make()
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            await _connect(peer, made)
            answer = await _ask(made)
            if isinstance(answer, wire.Lost):
                return peer.ended()
            if answer.headers.get(headers.REVISION) != peer.revision:
                made.abort()
                return peer.stranger()
            if not made.open:
                # A pod that drains says goodbye with every answer, but answers. It was the right one a moment ago.
                made = make()
                await _connect(peer, made)
            return made
    except OSError as error:  # a time-out is one as well
        made.abort()
        return Failure("unreachable", f"{peer.address}: {error.strerror or type(error).__name__}")
    except asyncio.CancelledError:
        made.abort()
        raise


async def _connect(peer: Peer, made: wire.Wire) -> None:
    context = encryption.context() if peer.tls else None
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: made, peer.address, peer.port, ssl=context, server_hostname=None)


async def _ask(made: wire.Wire) -> wire.Result:
    answer: asyncio.Future[wire.Result] = asyncio.get_running_loop().create_future()
    made.send(_QUESTION, b"", functools.partial(_settle, answer))
    return await answer


def _settle(future: asyncio.Future[wire.Result], result: wire.Result) -> None:
    if not future.done():
        future.set_result(result)
