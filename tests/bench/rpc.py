"""A closed-loop gRPC load generator for one core, and its messages: raw tensors in, raw tensors out.

grpcio's own asyncio client, which costs about as much per call as the server: so what counts is the rate per second of
the server's CPU time.
"""

import asyncio
import time
from collections.abc import Sequence

import grpc
import numpy as np
from tests.bench import load, models

from seatrial_server.protocol.rpc import messages

_METHOD = f"/{messages.SERVICE}/ModelInfer"
_CONNECTIONS = 4
_TIMEOUT = 20.0
_KNOWN = messages.Messages()


def request(model: models.Model, row: int) -> bytes:
    """One row as a serialized ModelInferRequest."""
    message = _KNOWN.request["ModelInfer"](model_name=model.name)
    message.inputs.add(name="x", datatype="FP32", shape=[1, model.columns])
    message.raw_input_contents.append(model.rows[row].tobytes())
    return bytes(message.SerializeToString())


def values(answer: bytes) -> models.Array:
    """The output values of a serialized ModelInferResponse."""
    message = _KNOWN.response["ModelInfer"].FromString(answer)
    return np.frombuffer(message.raw_output_contents[0], np.float32)


def drive(port: int, requests: Sequence[bytes], *, streams: int, seconds: float) -> load.Result:
    """Keep `streams` calls under way over a few connections; raises on the first that fails."""
    return asyncio.run(_drive(port, requests, streams=streams, seconds=seconds))


async def _drive(port: int, requests: Sequence[bytes], *, streams: int, seconds: float) -> load.Result:
    latencies: list[float] = []
    kept: list[tuple[int, bytes]] = []
    following = 0
    stop = 0.0

    async def client(call: grpc.aio.UnaryUnaryMultiCallable) -> None:
        nonlocal following
        while time.perf_counter() < stop:
            place, following = following, (following + 1) % len(requests)
            sent = time.perf_counter()
            answer = await call(requests[place], timeout=_TIMEOUT)
            latencies.append(time.perf_counter() - sent)
            if len(latencies) % load.KEPT_EVERY == 0:
                kept.append((place, answer))

    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) for _ in range(_CONNECTIONS)]
    try:
        async with asyncio.timeout(_TIMEOUT):
            await asyncio.gather(*(channel.channel_ready() for channel in channels))
        calls = [channel.unary_unary(_METHOD) for channel in channels]
        started = time.perf_counter()
        stop = started + seconds
        await asyncio.gather(*(client(calls[number % _CONNECTIONS]) for number in range(streams)))
        taken = time.perf_counter() - started
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))
    latencies.sort()
    return load.Result(count=len(latencies), seconds=taken, latencies=latencies, kept=kept)
