"""What stands between the transports and the model: the batcher, behind a cache and a fallback where configured."""

from __future__ import annotations

from seatrial_server.engine import batching, cache, fallback, inference, jobs
from seatrial_server.host import config
from seatrial_server.model import fallback_rows, schema
from seatrial_server.observe import telemetry


def build(
    batcher: batching.Batcher,
    engine: inference.Engine,
    *,
    settings: config.Config,
    card: schema.Card,
    served_sha256: str,
    counters: telemetry.Telemetry,
) -> jobs.Queue:
    """The queue that transports hand their jobs to. The fallback comes first, so that no cache keeps its answers."""
    queue: jobs.Queue = batcher
    if settings.cache is not None:
        queue = cache.Cache(queue, engine, settings=settings.cache, served_sha256=served_sha256, counters=counters)
    if settings.fallback.mode == "Static":
        queue = fallback.Static(queue, engine.schema, fallback_rows.read(card, engine.schema), counters=counters)
    return queue
