"""The REST side of a server without a network, and requests as bytes: for tests of the ways through it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from tests.unit.server import test_telemetry

from seatrial_server.engine import batching, inference, validation
from seatrial_server.host import budget, config
from seatrial_server.model import features, schema, session
from seatrial_server.observe import drift, telemetry
from seatrial_server.protocol import documents
from seatrial_server.protocol.http import decode, encode, listener
from seatrial_server.protocol.http.connection import Connection
from seatrial_server.protocol.http.v2 import V2

PLAN = batching.Plan(in_thread=False, batched=True, row_seconds=1e-6)
PATIENCE = 60.0
"""Seconds: deadlines are real time, and no test's business but their own."""
IDENTITY = documents.Identity(server_version="1", model="m", version="1")


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = False

    def write(self, data: Any) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """More is read all the same."""

    def resume_reading(self) -> None:
        """As above."""

    def is_closing(self) -> bool:
        return False

    def answers(self) -> list[tuple[int, dict[bytes, bytes], bytes]]:
        """Status, headers and body of each."""
        result, rest = [], self.written
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            lines = head.split(b"\r\n")
            headers = dict(line.split(b": ", 1) for line in lines[1:])
            length = int(headers[b"Content-Length"])
            result.append((int(lines[0].split()[1]), headers, rest[:length]))
            rest = rest[length:]
        return result


class Port:
    """The REST side of a server without a network; `short` opens the short way."""

    def __init__(
        self,
        graph: bytes,
        *columns: schema.Feature,
        short: bool = True,
        observer: drift.Drift | None = None,
        **limits: Any,
    ) -> None:
        model = session.load(graph)
        self.counters: telemetry.Telemetry = test_telemetry.counters()
        guards = validation.guards(model.schema, features.by_input(columns, model.schema))
        engine = inference.Engine(model, guards, observer=observer, most_rows=batching.MAX_ROWS)
        batcher = batching.Batcher(
            engine, PLAN, limits=config.Limits(**{"timeout_seconds": PATIENCE, **limits}), counters=self.counters
        )
        self.batcher = batcher
        self.application = V2(
            about=documents.Documents(IDENTITY, model.schema, self.counters),
            decoder=decode.Decoder(model.schema, stacked=True),
            encoder=encode.Encoder(model.schema, name="m", version="1"),
            queue=batcher,
            counters=self.counters,
            max_body_bytes=1 << 20,
            timeout_seconds=PATIENCE,
            account=budget.Budget(1 << 24),
            bundles=batcher if short else None,
        )
        self.host = listener.Listener(self.application, short_way=self.application.short_way)

    def connect(self) -> tuple[Connection, Wire]:
        connection, wire = Connection(self.host), Wire()
        connection.connection_made(wire)
        return connection, wire

    async def send(self, *requests: bytes) -> list[tuple[int, dict[bytes, bytes], bytes]]:
        """Each over a connection of its own, all in one turn of the loop."""
        clients = [self.connect() for _ in requests]
        for (connection, _), request in zip(clients, requests, strict=True):
            connection.data_received(request)
        await turns()
        return [answer for _, wire in clients for answer in wire.answers()]

    async def learn(self, *requests: bytes) -> Port:
        """Let it see requests (a head twice), so that their like is known."""
        for request in requests:
            await self.send(request)
            await self.send(request)
            self.host.heads.tick()
        self.counters.requests["rest"] = dict.fromkeys(telemetry.OUTCOMES, 0)
        self.counters.batch_rows = telemetry.Histogram(self.counters.batch_rows.edges)
        return self

    @property
    def runs(self) -> tuple[int, float]:
        """Calls of the model and their rows."""
        return sum(self.counters.batch_rows.counts), self.counters.batch_rows.total

    @property
    def outcomes(self) -> dict[str, int]:
        return {outcome: count for outcome, count in self.counters.requests["rest"].items() if count}


async def turns() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


def post(body: bytes, headers: bytes = b"") -> bytes:
    return b"POST /v2/models/m/infer HTTP/1.1\r\nHost: t\r\n%bContent-Length: %d\r\n\r\n%b" % (headers, len(body), body)


def numbers(text: str, *, columns: int = 4) -> bytes:
    """A request whose head has the same bytes for texts of one length."""
    body = f'{{"inputs":[{{"name":"x","shape":[1,{columns}],"datatype":"FP32","data":[{text}]}}]}}'
    return post(body.encode(errors="surrogateescape"))


def row(*values: float) -> bytes:
    return numbers(",".join(f"{value:.1f}" for value in values), columns=len(values))


def binary(values: Sequence[float]) -> bytes:
    content = np.array(values, np.float32).tobytes()
    tensor = {
        "name": "x",
        "shape": [1, len(values)],
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(content)},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return post(head + content, b"Inference-Header-Content-Length: %d\r\n" % len(head))


def first(answer: tuple[int, dict[bytes, bytes], bytes]) -> Any:
    """The first value of an answer, or its error's code."""
    status, headers, body = answer
    if status != 200:
        return json.loads(body)["code"]
    part = headers.get(b"Inference-Header-Content-Length")
    if part:
        return float(np.frombuffer(body[int(part) :], np.float32)[0])
    return json.loads(body)["outputs"][0]["data"][0]
