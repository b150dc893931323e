"""The measured processes of the server's benchmark, each started on one core: raw ONNX Runtime, echo, the server.

Also the child's side: `python -m tests.bench.processes raw|echo|unobserved ...`. All have the same CPU from their first
instruction on, because ONNX Runtime chooses its int8 kernels by the affinity that the process starts with.
"""

import asyncio
import contextlib
import gc
import hashlib
import http.client
import itertools
import os
import platform
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
import uvloop
from tests.bench import models

from seatrial_server.host import config, errors
from seatrial_server.model import axis, manifest, schema, session

_START_SECONDS = 60.0
_READY = re.compile(r'^ready$|"(?:port|rest)": ?\d')
_PROBE_SECONDS = 0.02
_TIMEOUT = 30.0  # other work on the machine must not make a request fail
_RANGE = (-50.0, 50.0)
_ECHO = b'{"model_name":"echo","outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[0.25,0.75]}]}'


class Child:
    """A process on its own core; `cpu()` is the CPU time it has used, which other load on the machine hardly moves."""

    def __init__(self, core: int, *command: str) -> None:
        started = time.perf_counter()
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), sys.executable, "-m", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # where servers log that they are ready
            bufsize=0,  # `line` waits for what the pipe has: a line in a buffer of ours would never be seen
            env={**os.environ, "PYTHONUNBUFFERED": "1", "SEATRIAL_TERMINATION_LOG": "/dev/null"},
        )
        self.announcement = self._ready()
        self.start_seconds = time.perf_counter() - started
        self.port, self.grpc_port = self._announced("port|rest"), self._announced("grpc")
        self.metrics_port = self._announced("metrics")

    def _ready(self) -> str:
        """The line that says so, behind those that tell of the start."""
        while not _READY.search(line := self.line(seconds=_START_SECONDS)):
            if not line:
                raise RuntimeError(f"{self.process.args!r}: ended before it was ready")
        return line

    def _announced(self, names: str) -> int:
        found = re.search(rf'"(?:{names})":\s*(\d+)', self.announcement)
        return int(found[1]) if found else 0

    def line(self, *, seconds: float) -> str:
        """The next line on its standard output."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            raise TimeoutError(f"{self.process.args!r}: silent for {seconds} s")
        return self.process.stdout.readline().decode()

    def cpu(self) -> float:
        """Seconds, user and system, of all its threads (the kernel's clock of another process)."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def pss(self) -> int:
        """Bytes of memory, pages shared with other processes counted by share."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return 1024 * sum(int(size) for size in re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE))

    def anonymous(self) -> int:
        """Bytes that belong to it alone, whoever else maps the same libraries: what would show a leak."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return 1024 * sum(int(size) for size in re.findall(r"^Anonymous:\s+(\d+) kB", text, re.MULTILINE))

    def raw_rate(self, seconds: float) -> tuple[float, float]:
        """Of the `raw` child: calls per second of wall time, and of CPU time."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"%f\n" % seconds)
        self.process.stdin.flush()
        wall, cpu = self.line(seconds=seconds + _START_SECONDS).split()
        return float(wall), float(cpu)

    def stop_probing(self) -> list[float]:
        """Of the `probe` child: the seconds that each of its requests took."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return [float(taken) for taken in self.line(seconds=_START_SECONDS).split()]


@contextlib.contextmanager
def child(core: int, *command: str) -> Iterator[Child]:
    """Run it until the end of the block."""
    running = Child(core, *command)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


def cpu_model() -> str:
    """What the machine says of its processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.machine())


def prepare(model: models.Model, folder: Path) -> list[str]:
    """What `seatrial-server serve` needs in a pod, with a range for every feature; returns its arguments."""
    prepared = folder / "prepared"
    prepared.mkdir(parents=True)
    (prepared / manifest.MODEL).write_bytes(model.content)
    digest = hashlib.sha256(model.content).hexdigest()
    loaded = session.load(model.content)
    columns = range(model.columns) if len(loaded.schema.inputs) == 1 else ()
    features = tuple(schema.Feature(name=f"f{column}", range=_RANGE) for column in columns)
    written = manifest.Manifest(
        sha256=digest,
        served_sha256=digest,
        precision="int8-static" if model.precision == "int8-static" else "fp32",
        quantization=manifest.QuantizationResult(mode="None", outcome="Off"),
        environment=manifest.Environment(onnxruntime=session.VERSION, cpu_flags=()),
        model=axis.find(loaded, None).model,
        card=schema.Card(features=features),
    )
    (prepared / manifest.FILE).write_bytes(msgspec.json.encode(written))
    reference = config.ModelRef(name=model.name, version="1", uri="bench:", sha256=digest)
    limits = config.Limits(timeout_seconds=_TIMEOUT)
    (folder / "config.json").write_bytes(msgspec.json.encode(config.Config(model=reference, limits=limits)))
    np.save(folder / "rows.npy", model.rows)
    return ["--config", str(folder / "config.json"), "--work", str(folder)]


def with_tokens(folder: Path) -> list[str]:
    """The arguments of a server of the same model that gives a token with every answer."""
    plain = msgspec.json.decode((folder / "config.json").read_bytes(), type=config.Config)
    key, live, path = folder / "keys" / "key", folder / "live.json", folder / "config-tokens.json"
    key.parent.mkdir()
    key.write_bytes(bytes(range(32)))
    live.write_bytes(b'{"feedback":{"horizonSeconds":86400,"always":true}}')
    given = msgspec.structs.replace(
        plain,
        deployment="bench",
        namespace="bench",
        revision="0123456789",
        monitoring=config.Monitoring(file=str(live)),
        feedback=config.Feedback(keys=str(key.parent)),
    )
    path.write_bytes(msgspec.json.encode(given))
    return ["--config", str(path), "--work", str(folder)]


def serve_arguments(arguments: list[str]) -> list[str]:
    """The command line behind the module's name."""
    return ["serve", *arguments, "--host", "127.0.0.1", "--port", "0", "--grpc-port", "0", "--metrics-port", "0"]


@click.group()
def main() -> None:
    """The children of the benchmark; not for people."""


def _prepared(folder: Path) -> tuple[session.Session, str, list[models.Array]]:
    """The model, its input's name, and the rows."""
    model = session.load(folder / "prepared" / manifest.MODEL)
    rows = [row.reshape(1, -1) for row in np.load(folder / "rows.npy")]
    return model, model.schema.inputs[0].name, rows


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def raw(folder: Path) -> None:
    """Tight loop over rotating rows; each line on standard input asks for so many seconds."""
    model, name, rows = _prepared(folder)
    run = model.run
    gc.freeze()
    click.echo("ready")
    for line in sys.stdin:
        stop = time.perf_counter() + float(line)
        calls, wall, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() < stop:
            for row in rows:
                run({name: row})
            calls += len(rows)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        click.echo(f"{calls / wall} {calls / cpu}")


@main.command()
@click.argument("port", type=int)
@click.argument("path")
def probe(port: int, path: str) -> None:
    """Ask for this path fifty times a second until a line arrives; then say how long each answer took."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    taken: list[float] = []
    click.echo("ready")
    while not select.select([sys.stdin], [], [], _PROBE_SECONDS)[0]:
        before = time.perf_counter()
        link.request("GET", path)
        answer = link.getresponse()
        answer.read()
        assert answer.status == 200
        taken.append(time.perf_counter() - before)
    click.echo(" ".join(map(str, taken)))


def _called(folder: Path) -> Iterator[object]:
    """The answers of the model to one row after the other."""
    model, name, rows = _prepared(folder)
    return (model.run({name: row}) for row in itertools.cycle(rows))


@main.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
def echo(folder: Path | None) -> None:
    """The same HTTP and gRPC stacks with applications that answer a constant; with a model, REST calls it first."""
    import grpc  # not before the server's package, which sets it up

    from seatrial_server.protocol.http import exchange, listener
    from seatrial_server.protocol.rpc import listener as rpc_listener

    called = _called(folder) if folder is not None else None

    class Echo:
        max_body_bytes = 1 << 20

        def handle(self, request: exchange.Exchange) -> None:
            if called is not None:
                next(called)
            request.answer(200, _ECHO)

        def refused(self, request: exchange.Exchange, error: errors.RequestError) -> None:
            """Not counted."""

        def turned_away(self) -> None:
            """Nor this."""

    async def call(_: bytes, __: Any) -> bytes:
        return _ECHO

    class Call(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
        last_call = 0.0

        def service(self, _: grpc.HandlerCallDetails) -> Any:
            return grpc.unary_unary_rpc_method_handler(call)

    async def run() -> None:
        rest, rpc = listener.Listener(Echo()), rpc_listener.Listener(Call(), max_message_bytes=1 << 20)
        port, rpc_port = await rest.open(host="127.0.0.1", port=0), await rpc.open(host="127.0.0.1", port=0)
        gc.freeze()
        click.echo(f'"port": {port} "grpc": {rpc_port}')
        await asyncio.Event().wait()

    uvloop.run(run())


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1)
def unobserved(arguments: tuple[str, ...]) -> None:
    """The server without its counters: what observability costs is the difference."""
    from seatrial_server import __main__ as server
    from seatrial_server.observe import histogram, telemetry

    histogram.Histogram.observe = lambda *_, **__: None  # type: ignore[method-assign]
    telemetry.Telemetry.finished = lambda *_, **__: None  # type: ignore[method-assign]
    telemetry.Telemetry.finished_together = lambda *_, **__: None  # type: ignore[method-assign]
    server.main(list(arguments), standalone_mode=False)


if __name__ == "__main__":
    main()
