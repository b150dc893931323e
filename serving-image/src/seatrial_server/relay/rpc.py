"""Calls over gRPC to a candidate's pods: the message's bytes as they came, over one channel for each pod.

A channel connects anew by itself, so who is at the other end is asked when it is made, and held against the mark that
every answer carries. With TLS a channel that fails is made anew: the certificate may have been renewed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import grpc
import grpc.aio
import msgspec

from seatrial_server.relay import encryption, headers
from seatrial_server.relay.introduction import Peer
from seatrial_server.relay.outcomes import Failure

_INTRODUCTION = "/inference.GRPCInferenceService/ServerLive"
_CONNECT_SECONDS = 1.0
_GRACE_SECONDS = 30.0
_NOT_PASSED_ON = frozenset({"te", "content-type", "user-agent", "host", "trailers"})
_STATUSES = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
Metadata = tuple[tuple[str, str | bytes], ...]


class Answer(msgspec.Struct, frozen=True):
    """`status` is HTTP's word for the code; `trailers` without those of the candidate's hop."""

    code: Any
    details: str
    body: bytes
    trailers: Metadata

    @property
    def status(self) -> int:
        """See `outcomes.Answered`."""
        return _STATUSES.get(self.code, 500)

    @property
    def degraded(self) -> bool:
        """See `outcomes.Answered`."""
        return headers.DEGRADED.decode() in dict(self.trailers)


class Rpc:
    """The channels to all candidates' pods. Belongs to the event loop."""

    def __init__(self, *, max_body_bytes: int) -> None:
        self._options = [
            ("grpc.max_receive_message_length", max_body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
        ]
        self._channels: dict[Peer, grpc.aio.Channel] = {}
        self._known: set[Peer] = set()
        self._closing: set[asyncio.Task[None]] = set()

    async def name(self, peers: Collection[Peer]) -> None:
        """Keep channels to these and no others; calls on the others come to their end."""
        for peer in self._channels.keys() - frozenset(peers):
            self._leave(peer)
        await asyncio.gather(*self._closing)

    async def pass_on(
        self, peer: Peer, method: str, body: bytes, *, metadata: Metadata, seconds: float
    ) -> Answer | Failure:
        """The answer, or why there is none, within so many seconds."""
        channel = self._channels.get(peer)
        if channel is None:
            try:
                async with asyncio.timeout(min(seconds, _CONNECT_SECONDS)):
                    channel = await self._open(peer)
            except OSError as error:  # a time-out is one as well
                return Failure("unreachable", f"{peer.address}: {error.strerror or str(error) or 'no answer in time'}")
        if peer not in self._known:
            met = await self._call(channel, peer, _INTRODUCTION, b"", (), min(seconds, _CONNECT_SECONDS))
            if isinstance(met, Failure):
                return met
            self._known.add(peer)
        answer = await self._call(channel, peer, method, body, metadata, seconds)
        if isinstance(answer, Failure):
            self._known.discard(peer)
            if peer.tls and answer.outcome == "unreachable" and self._channels.get(peer) is channel:
                self._leave(peer)
        return answer

    async def _open(self, peer: Peer) -> grpc.aio.Channel:
        if not peer.tls:
            return self._channels.setdefault(peer, grpc.aio.insecure_channel(_target(peer), options=self._options))
        found = await encryption.credentials(peer.address, peer.port)
        if peer not in self._channels:  # another call may have been faster
            options = [*self._options, ("grpc.ssl_target_name_override", found.name)]
            self._channels[peer] = grpc.aio.secure_channel(_target(peer), found.channel, options=options)
        return self._channels[peer]

    def _leave(self, peer: Peer) -> None:
        self._known.discard(peer)
        task = asyncio.get_running_loop().create_task(self._channels.pop(peer).close(grace=_GRACE_SECONDS))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _call(
        self, channel: grpc.aio.Channel, peer: Peer, method: str, body: bytes, metadata: Metadata, seconds: float
    ) -> Answer | Failure:
        try:
            call = channel.unary_unary(method)(body, metadata=metadata, timeout=seconds)
            content: bytes = await call
        except (grpc.aio.UsageError, asyncio.CancelledError):
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return Failure("unreachable", f"{peer.address}: the channel was closed")  # by `name`, just now
        except grpc.aio.AioRpcError as error:
            code, details, content, given = error.code(), error.details() or "", b"", error.trailing_metadata()
        else:
            code, details, given = grpc.StatusCode.OK, "", await call.trailing_metadata()
        trailers = tuple((str(key), value) for key, value in given or ())
        if dict(trailers).get(headers.REVISION.decode()) == peer.revision.decode():
            return Answer(code, details, content, trailers)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return Failure("late", f"{peer.address}: no answer in time")
        if code is grpc.StatusCode.OK:
            return peer.stranger()
        return Failure("unreachable", f"{peer.address}: {code.name}")


def passed_on(given: Metadata, added: Metadata) -> Metadata:
    """A call's metadata for the candidate: grpcio's own and ours are not taken over."""
    ours = ("grpc-", "seatrial-", ":")
    kept = tuple(one for one in given if one[0] not in _NOT_PASSED_ON and not one[0].startswith(ours))
    return kept + added


def _target(peer: Peer) -> str:
    return f"ipv6:[{peer.address}]:{peer.port}" if ":" in peer.address else f"ipv4:{peer.address}:{peer.port}"
