"""Made-up requests through the real HTTP stack: decoder, policies, batcher, model, encoder. Runs in the sandbox.

The server may refuse a request, but must not fail on one: no 5xx, no traceback, an answer to every request. Where
`model.yaml` gives a range or categories, values far outside are tried too; elsewhere values stay near the reference,
because nobody said what the model can take. Failing cases are named by number: the same seed makes the same requests.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import orjson

import seatrial_server
from seatrial_server.engine import batching, inference, validation, warmup
from seatrial_server.host import config
from seatrial_server.model import declared, features, manifest, session
from seatrial_server.observe import telemetry
from seatrial_server.protocol import documents
from seatrial_server.protocol.http.decode import Decoder
from seatrial_server.protocol.http.encode import Encoder
from seatrial_server.protocol.http.listener import Listener
from seatrial_server.protocol.http.v2 import V2
from seatrial_server.trial import report, requests

_NAMED_CASES = 5
_SECONDS = 30.0
_NAME = "robustness"
_PATH = b"/v2/models/robustness/infer"


def run(
    test: declared.Robustness,
    model: session.Session,
    made: manifest.Manifest,
    rows: dict[str, session.Array] | None,
) -> report.TestResult:
    """The share of requests that were answered or refused as they should be."""
    rows = rows or model.schema.example(1)
    maker = requests.Maker(made.card, model.schema, rows, seed=test.seed)
    logging.getLogger(inference.__name__).disabled = True  # a failing call is this test's result, not a line of the log
    try:
        failures = asyncio.run(_talk(model, made, rows, [maker.body() for _ in range(test.cases)]))
    finally:
        logging.getLogger(inference.__name__).disabled = False
    named = ", ".join(f"{number} ({why})" for number, why in failures[:_NAMED_CASES])
    return report.TestResult(
        name=_NAME,
        outcome="Fail" if failures else "Pass",
        observed=1 - len(failures) / test.cases,
        bound=1.0,
        rows=test.cases,
        message=f"{len(failures)} of {test.cases} requests failed: cases {named}" if failures else "",
    )


async def _talk(
    model: session.Session, made: manifest.Manifest, rows: dict[str, session.Array], bodies: list[bytes]
) -> list[tuple[int, str]]:
    """Send every body over one connection at a time; returns the failed cases."""
    counters = telemetry.Telemetry(
        labels=telemetry.Labels(deployment="", deployment_namespace="", revision=""),
        model=telemetry.ModelInfo(model="", version="", precision="fp32", sha256="", onnxruntime=""),
        latency_threshold=1.0,
    )
    card, missing = made.card, frozenset(made.missing)
    plan = warmup.plan(model, rows, may_batch=made.batching)
    guards = validation.guards(model.schema, features.by_input(card.features, model.schema), missing=missing)
    engine = inference.Engine(model, guards)
    batcher = batching.Batcher(engine, plan, limits=config.Limits(timeout_seconds=_SECONDS), counters=counters)
    identity = documents.Identity(server_version=seatrial_server.VERSION, model=_NAME, version="1")
    application = V2(
        about=documents.Documents(identity, model.schema, counters),
        decoder=Decoder(
            model.schema,
            stacked=model.schema.rows_first,
            nullable=features.nullable(card.features, model.schema, missing),
        ),
        encoder=Encoder(model.schema, name=_NAME, version="1"),
        queue=batcher,
        counters=counters,
        max_body_bytes=config.Limits().max_body_bytes,
    )
    listener = Listener(application)
    port = await listener.open(host="127.0.0.1", port=0)
    failures = []
    try:
        for number, body in enumerate(bodies):
            if why := await _failure(port, body):
                failures.append((number, why))
    finally:
        await listener.close()
        batcher.close()
    return failures


async def _failure(port: int, body: bytes) -> str:
    """Empty when the request was treated well."""
    head = b"POST %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (_PATH, len(body))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(_SECONDS):
            writer.write(head + body)
            answer = await reader.read()
    except (TimeoutError, ConnectionError) as error:
        return type(error).__name__
    finally:
        writer.close()
    status, _, content = answer.partition(b"\r\n\r\n")
    if b"Traceback" in content:
        return "a traceback"
    code = status[9:12].decode()
    if code.startswith(("2", "4")):
        return ""
    return f"{code} {_code(content)}" if code else "no answer"


def _code(content: bytes) -> str:
    try:
        document: Any = orjson.loads(content)
        return str(document.get("code", ""))
    except orjson.JSONDecodeError:
        return "without an error object"
