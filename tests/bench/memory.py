"""Soak: requests of random sizes and kinds, from random numbers of connections; the server's memory must stay put.

Row counts, JSON or binary tensors, compressed or not, wanted answers and their compression are drawn anew for every
request; the model `mixed` has an input of every kind of datatype.

ONNX Runtime's arena keeps the largest block of every shape it has seen, Python and malloc keep pools: growth shows in
the first seconds and must end. Only the process's own (anonymous) memory is compared, because PSS moves with every
other process that maps the same libraries. The first fifth of the run is warm-up.
"""

import gzip
import os
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
import orjson
from tests.bench import load, models, processes

from seatrial_server.protocol import binary

GROWTH = 0.05
_SERVER_CORE, _LOAD_CORE = 0, 1
_MAX_ROWS = 256
_BURST_SECONDS, _WARM_SECONDS = 0.5, 5.0
_KINDS = 2 * 3 * 2 * 3


class Soak(msgspec.Struct):
    """Own memory in bytes over time, the warm-up left out, and the requests that were answered."""

    memory: list[int]
    requests: int

    @property
    def growth(self) -> float:
        """Last quarter of the run against the first one."""
        quarter = max(1, len(self.memory) // 4)
        return float(np.mean(self.memory[-quarter:]) / np.mean(self.memory[:quarter]) - 1)


@click.command()
@click.option("--minutes", default=10.0, show_default=True, help="How long to soak the model.")
@click.option("--only", default="mixed", show_default=True, help="mixed, linear, trees or mlp.")
def command(minutes: float, only: str) -> None:
    """Memory of the server under random requests: grows by less than a twentieth."""
    os.sched_setaffinity(0, {_LOAD_CORE})
    seconds = 60 * minutes
    [model] = [model for model in (models.mixed(), *models.build()) if model.name == only]
    result = soak(model, seconds=seconds)
    first, last = (result.memory[place] / 2**20 for place in (0, -1))
    click.echo(
        f"{model.title}: {result.requests} requests in {seconds:g} s, own memory {first:.1f} -> {last:.1f} MiB, "
        f"growth {100 * result.growth:.1f} %, at most {100 * GROWTH:.0f} %"
    )
    if result.growth > GROWTH:
        sys.exit("memory: the server grows")


def soak(model: models.Model, *, seconds: float) -> Soak:
    """Bursts of load with new sizes each."""
    random = np.random.default_rng(1)
    result = Soak(memory=[], requests=0)
    with tempfile.TemporaryDirectory() as name:
        arguments = processes.serve_arguments(processes.prepare(model, Path(name) / "work"))
        with processes.child(_SERVER_CORE, "seatrial_server", *arguments) as server:
            largest = [_request(model, _MAX_ROWS, kind) for kind in range(_KINDS)]  # what these take is no growth
            load.drive(server.port, largest, connections=1, seconds=_WARM_SECONDS)
            started = time.perf_counter()
            while (passed := time.perf_counter() - started) < seconds:
                connections = int(random.integers(1, 33))
                requests = [
                    _request(model, _rows(random, most=_MAX_ROWS // connections), int(random.integers(_KINDS)))
                    for _ in range(40)
                ]
                burst = load.drive(server.port, requests, connections=connections, seconds=_BURST_SECONDS)
                result.requests += burst.count
                if passed > seconds / 5:
                    result.memory.append(server.anonymous())
    return result


def _rows(random: np.random.Generator, *, most: int) -> int:
    """Mostly few, at times as many as the queue allows."""
    return int(random.integers(1, most + 1)) if random.random() < 0.1 else min(most, int(random.geometric(0.4)))


def _request(model: models.Model, rows: int, kind: int) -> bytes:
    """`kind` says how the body is written and packed, and what the answer is to be like: a digit for each."""
    as_binary, coding, answer_binary, accepted = kind % 2, kind // 2 % 3, kind // 6 % 2, kind // 12
    tensors, parts = [], []
    for name, datatype, values in models.tensors(model, rows):
        tensor: dict[str, Any] = {"name": name, "shape": list(values.shape), "datatype": datatype}
        if as_binary:
            parts.append(binary.encoded(values, datatype))
            tensor["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            tensor["data"] = values.reshape(-1).tolist()
        tensors.append(tensor)
    head = orjson.dumps({"inputs": tensors, "parameters": {"binary_data_output": bool(answer_binary)}})
    headers = b"Inference-Header-Content-Length: %d\r\n" % len(head) if as_binary else b""
    headers += (b"", b"Accept-Encoding: gzip\r\n", b"Accept-Encoding: deflate\r\n")[accepted]
    body = head + b"".join(parts)
    if coding:
        body = (gzip.compress, zlib.compress)[coding - 1](body)
        headers += b"Content-Encoding: %b\r\n" % (b"gzip", b"deflate")[coding - 1]
    return models.post(model, body, headers)
