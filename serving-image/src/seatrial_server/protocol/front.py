"""The two ports of the V2 protocol over one queue: REST and gRPC."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable

from seatrial_server.engine import batching, jobs
from seatrial_server.feedback.collecting import Collecting
from seatrial_server.host import budget
from seatrial_server.model import schema
from seatrial_server.observe import telemetry
from seatrial_server.protocol import certificate, documents, revision
from seatrial_server.protocol.http import cors, v2
from seatrial_server.protocol.http.decode import Decoder
from seatrial_server.protocol.http.encode import Encoder
from seatrial_server.protocol.http.listener import Listener
from seatrial_server.protocol.rpc import calls, codec, messages, others
from seatrial_server.protocol.rpc import listener as rpc_listener
from seatrial_server.relay.relay import Relay
from seatrial_server.relay.shadow import Shadow
from seatrial_server.samples import sampler

_OPEN_FILES = 16_384


class Front:
    """Opens and drains both ports. `nullable` names the inputs in which null says that a value is missing.

    `bundles`: the batcher, if it may have bundles, see `http.express`. `openapi`, `pages`: see `http.v2`.
    `relay` passes requests on to another revision.
    """

    def __init__(
        self,
        about: documents.Documents,
        model: schema.Schema,
        *,
        nullable: frozenset[str],
        queue: jobs.Queue,
        counters: telemetry.Telemetry,
        max_body_bytes: int,
        timeout_seconds: float,
        account: budget.Budget,
        bundles: batching.Batcher | None,
        openapi: Callable[[], bytes],
        pages: cors.Cors | None,
        relay: Relay | None = None,
        samples: sampler.Sampler | None = None,
        card: schema.Card,
        collecting: Collecting | None = None,
    ) -> None:
        own, stacked, known = about.identity, model.rows_first, messages.Messages()
        copies = Shadow(relay, counters.relayed, account, card=card, model=model) if relay else None
        application = v2.V2(
            about=about,
            decoder=Decoder(model, stacked=stacked, nullable=nullable),
            encoder=Encoder(model, name=own.model, version=own.version),
            queue=queue,
            counters=counters,
            max_body_bytes=max_body_bytes,
            timeout_seconds=timeout_seconds,
            account=account,
            bundles=bundles,
            openapi=openapi,
            pages=pages,
            relay=relay,
            copies=copies,
            samples=samples,
            collecting=collecting,
        )
        self._rest = Listener(
            application, short_way=application.short_way, account=account, lines=revision.line(own.revision)
        )
        self._rpc = rpc_listener.Listener(
            calls.Calls(
                about=about,
                known=known,
                decoder=codec.Decoder(model, stacked=stacked, request=known.request["ModelInfer"]),
                encoder=codec.Encoder(
                    model, name=own.model, version=own.version, response=known.response["ModelInfer"]
                ),
                queue=queue,
                counters=counters,
                relay=relay,
                copies=copies,
                samples=samples,
                collecting=collecting,
            ),
            beside=others.Others(about, known),
            max_message_bytes=max_body_bytes,
        )

    async def open(
        self, *, host: str | None, rest: int, grpc: int, tls: certificate.Certificate | None = None
    ) -> tuple[int, int]:
        """Listen, encrypted where there is a certificate; returns both ports. Raises OSError."""
        _allow_open_files()
        rpc_port = await self._rpc.open(host=host, port=grpc, credentials=tls.credentials() if tls else None)
        return await self._rest.open(host=host, port=rest, tls=tls.context if tls else None), rpc_port

    async def drain(self) -> None:
        """Let go of all clients without losing a request."""
        await asyncio.gather(self._rest.drain(), self._rpc.drain())


def _allow_open_files() -> None:
    """Many container runtimes start with a soft limit of 1024, which a thousand idle clients reach."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
