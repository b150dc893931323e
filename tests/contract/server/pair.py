"""A stable pod with its relay, and a candidate's pod beside it: the real ports on loopback, in the test's own loop.

Pods of one deployment listen on the same ports, so the two differ in their addresses: 127.0.0.1 and 127.0.0.2.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.cluster.harness import ports
from tests.contract.server import process
from tests.unit.server import graphs, test_telemetry

from seatrial_server.engine import batching, cache, inference, jobs, validation
from seatrial_server.feedback.collecting import Collecting
from seatrial_server.host import budget, config
from seatrial_server.model import schema, session
from seatrial_server.observe import spans, telemetry
from seatrial_server.protocol import certificate, documents, revision
from seatrial_server.protocol.http import cors, decode, encode, listener, v2
from seatrial_server.protocol.rpc import calls, codec, messages
from seatrial_server.protocol.rpc import listener as rpc_listener
from seatrial_server.relay import following, introduction, relay, shadow
from seatrial_server.relay import rpc as relayed_calls

STABLE, CANDIDATE = "127.0.0.1", "127.0.0.2"
DEPLOYMENT, TOKEN = "shop/churn", "t" * 16
PLAN = batching.Plan(in_thread=False, batched=True, row_seconds=1e-5)
AGES = listener.Ages(keep_accepting=0.02, finish=5)
RPC_AGES = rpc_listener.Ages(keep_accepting=0, quiet=0.05, finish=5)


def times(factor: float) -> bytes:
    """x [N, 1] -> y = factor * x: the answer says which model gave it."""
    return graphs.model(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        inputs={"x": (TensorProto.FLOAT, ["N", 1])},
        outputs={"y": (TensorProto.FLOAT, ["N", 1])},
        constants={"factor": np.array([factor], np.float32)},
    ).SerializeToString()


MODELS = {"stable": session.load(times(2)), "candidate": session.load(times(3))}
FACTORS = {"stable": 2, "candidate": 3}


class Clock:
    """The time of day, as the test wants it: it stands still, however long the machine takes."""

    def __init__(self) -> None:
        self._begun, self.ahead = time.time(), 0.0

    def __call__(self) -> float:
        return self._begun + self.ahead


class Pod:
    """Both ports of one revision.

    `origin` is a web page that may call, `traces` takes a span of every request, `cached`: answers are kept.
    `pinning` is what becomes of requests for another version than 1, `draw` whom the relay chooses.
    Nobody is late unless a test asks for it: `timeout_seconds` is long.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock | None = None,
        origin: str = "",
        traces: str = "",
        cached: bool = False,
        pinning: config.VersionPinning = "Answer",
        collecting: Callable[[str], Collecting] | None = None,
        draw: Callable[[], float] | None = None,
        **limits: Any,
    ) -> None:
        model, self.name = MODELS[name], name
        self.collecting = collecting(name) if collecting else None
        self.counters: telemetry.Telemetry = test_telemetry.counters()
        if traces:
            tracing = config.Tracing(endpoint=traces, ratio=1)
            self.counters.spans = spans.Spans(tracing, attributes={"seatrial.revision": name})
        settings = config.Limits(**{"timeout_seconds": 30.0, **limits})
        self._max_message_bytes = settings.max_body_bytes
        own = following.Own(DEPLOYMENT, name)
        self.account = budget.of_process(max_body_bytes=settings.max_body_bytes)
        self.relay = relay.Relay(
            own, self.counters.relayed, limits=settings, account=self.account, draw=draw, now=clock or time.time
        )
        engine = inference.Engine(model, validation.guards(model.schema, {}), most_rows=batching.MAX_ROWS)
        batcher = batching.Batcher(engine, PLAN, limits=settings, counters=self.counters)
        queue: jobs.Queue = batcher
        if cached:
            keeping = config.Cache(max_bytes=1 << 20)
            queue = cache.Cache(batcher, engine, settings=keeping, served_sha256="00", counters=self.counters)
        about = documents.Documents(
            documents.Identity(
                server_version="0", model="m", version="1", max_batch_size=32, revision=name, pinning=pinning
            ),
            model.schema,
            self.counters,
        )
        known = messages.Messages()
        copies = shadow.Shadow(self.relay, self.counters.relayed, self.account, card=schema.Card(), model=model.schema)
        application = v2.V2(
            about=about,
            decoder=decode.Decoder(model.schema, stacked=True),
            encoder=encode.Encoder(model.schema, name="m", version="1"),
            queue=queue,
            counters=self.counters,
            max_body_bytes=settings.max_body_bytes,
            account=self.account,
            bundles=None if cached else batcher,
            relay=self.relay,
            copies=copies,
            collecting=self.collecting,
            pages=cors.Cors(config.Cors(allow_origins=(origin,))) if origin else None,
        )
        self.rest = listener.Listener(
            application, short_way=application.short_way, account=self.account, lines=revision.line(name), ages=AGES
        )
        self._calls = calls.Calls(
            about=about,
            known=known,
            decoder=codec.Decoder(model.schema, stacked=True, request=known.request["ModelInfer"]),
            encoder=codec.Encoder(model.schema, name="m", version="1", response=known.response["ModelInfer"]),
            queue=queue,
            counters=self.counters,
            relay=self.relay,
            copies=copies,
            collecting=self.collecting,
        )
        self.rpc = self.new_rpc()

    def new_rpc(self) -> rpc_listener.Listener:
        """A port over gRPC; one that was drained cannot be opened again."""
        return rpc_listener.Listener(self._calls, max_message_bytes=self._max_message_bytes, ages=RPC_AGES)

    async def open(
        self,
        address: str,
        ports: Sequence[int],
        *,
        rpc: bool = True,
        tls: certificate.Certificate | None = None,
    ) -> None:
        await self.rest.open(host=address, port=ports[0], tls=tls.context if tls else None)
        if rpc:
            await self.rpc.open(host=address, port=ports[1], credentials=tls.credentials() if tls else None)
        self.relay._ports = ports

    async def close(self, *, rpc: bool = True) -> None:
        await asyncio.gather(self.rest.drain(), *([self.rpc.drain()] if rpc else []))
        await self.relay.close()
        if self.counters.spans is not None:
            await asyncio.to_thread(self.counters.spans.close)

    def relayed(self) -> dict[tuple[str, bool], int]:
        """What is counted of the candidate."""
        counts = self.counters.relayed.requests.get("candidate", {})
        return {key: count for key, count in counts.items() if count}

    @property
    def answered(self) -> int:
        """Requests that count as this revision's own."""
        return sum(telemetry.totals(self.counters).values())


def assignment(*, weight: float = 100, now: float | None = None, lease: float = 120, **fields: Any) -> bytes:
    """The annotation's text."""
    until = datetime.datetime.fromtimestamp((time.time() if now is None else now) + lease, datetime.UTC)
    document = {
        "deployment": DEPLOYMENT,
        "revision": "candidate",
        "to": [CANDIDATE],
        "weight": weight,
        "until": until.isoformat(),
        "token": TOKEN,
        **fields,
    }
    return json.dumps(document).encode()


class Ported(Protocol):
    """Where pods listen: REST and gRPC."""

    ports: Sequence[int]


class Pair:
    """Two real pods; `clock` is the stable one's."""

    def __init__(self, **settings: Any) -> None:
        self.clock, self.ports = Clock(), ports.free(2)
        self.stable, self.candidate = Pod("stable", clock=self.clock, **settings), Pod("candidate", **settings)

    def assign(self, **fields: Any) -> None:
        self.stable.relay.following.take(assignment(now=self.clock(), **fields))


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """A new connection to the candidate may take its time: it is there, also when this machine stands still."""
    with pytest.MonkeyPatch.context() as change:
        for module in (introduction, relayed_calls):
            change.setattr(module, "_CONNECT_SECONDS", process.DEADLINE)
        yield


@contextlib.asynccontextmanager
async def pair(
    *, rpc: bool = False, tls: certificate.Certificate | None = None, **settings: Any
) -> AsyncIterator[Pair]:
    """`tls` is the candidate's."""
    result = Pair(**settings)
    with patient():
        await result.candidate.open(CANDIDATE, result.ports, rpc=rpc, tls=tls)
        await result.stable.open(STABLE, result.ports, rpc=rpc)
        try:
            yield result
        finally:
            await result.stable.close(rpc=rpc)
            await result.candidate.close(rpc=rpc)
