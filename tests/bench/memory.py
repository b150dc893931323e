"""Soak: requests of random row counts, from random numbers of connections; the server's memory must stay where it was.

ONNX Runtime's arena keeps the largest block of every shape it has seen, Python and malloc keep pools: growth shows in
the first seconds and must end. Only the process's own (anonymous) memory is compared, because PSS moves with every
other process that maps the same libraries. The first fifth of the run is warm-up.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import click
import msgspec
import numpy as np
import orjson
from tests.bench import load, models, processes

GROWTH = 0.05
_SERVER_CORE, _LOAD_CORE = 0, 1
_MAX_ROWS = 256
_BURST_SECONDS = 0.5


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
@click.option("--seconds", default=600.0, show_default=True, help="How long to soak each model.")
@click.option("--only", default="mlp", show_default=True, help="linear, trees or mlp.")
def command(seconds: float, only: str) -> None:
    """Memory of the server under random batch sizes: grows by less than a twentieth."""
    os.sched_setaffinity(0, {_LOAD_CORE})
    [model] = [model for model in models.build() if model.name == only]
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
            largest = [_request(model, rows=list(range(_MAX_ROWS)))]  # what the largest request takes is no growth
            load.drive(server.port, largest, connections=1, seconds=_BURST_SECONDS)
            started = time.perf_counter()
            while (passed := time.perf_counter() - started) < seconds:
                connections = int(random.integers(1, 33))
                requests = [_request(model, _rows(random, most=_MAX_ROWS // connections)) for _ in range(40)]
                burst = load.drive(server.port, requests, connections=connections, seconds=_BURST_SECONDS)
                result.requests += burst.count
                if passed > seconds / 5:
                    result.memory.append(server.anonymous())
    return result


def _rows(random: np.random.Generator, *, most: int) -> list[int]:
    """Mostly few, at times as many as the queue allows."""
    count = int(random.integers(1, most + 1)) if random.random() < 0.1 else min(most, int(random.geometric(0.4)))
    return random.integers(0, models.BODIES, count).tolist()


def _request(model: models.Model, rows: list[int]) -> bytes:
    values = model.rows[rows]
    tensor = {"name": "x", "shape": list(values.shape), "datatype": "FP32", "data": values.reshape(-1).tolist()}
    return models.post(model, orjson.dumps({"inputs": [tensor]}))
