"""The model server against raw ONNX Runtime and against its own HTTP stack with nothing behind it.

Everything in interleaved rounds of one run, many and short, because the speed of a shared CPU changes within seconds:
the server's core is one, the load's another; 512 distinct bodies in turn, one row each, answers checked against ONNX
Runtime, not one error allowed. Rates are per second of CPU time that the
measured process used, because the machine may have other work; on a quiet machine that is the rate per second, as
one core is full. Ratios travel between machines, rates do not.
"""

import contextlib
import functools
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
import numpy as np
import onnxruntime as ort
import rich.console
import rich.table
from tests.bench import load, models, page, processes, rpc

from seatrial_server.model import session

REQUIRED = {
    "json 32": {"linear": 0.37, "trees": 0.65, "mlp": 0.75},
    "envoy 32": {"linear": 0.33, "trees": 0.60, "mlp": 0.65},
}
"""Share of raw ONNX Runtime calls that must be reached: with equal heads, and with those of a gateway."""
AIM = {"linear": 0.45, "trees": 0.75, "mlp": 0.9}
_REQUESTS = 8 * models.BODIES
"""With heads or ids of their own: so many that none is seen twice before a thousand others."""
BINARY_GAIN, OBSERVABILITY, TOKENS, TAIL, START, MEMORY = 1.15, 0.08, 0.9, 3.0, 1.0, 100
SINGLE = 1.6
"""Latency at one connection as a multiple of an echo's that makes the same call of ONNX Runtime, see `speed.md`."""
GRPC, GRPC_SHARE = 6000, 0.85
"""Requests per second over gRPC, the only bound that is no ratio; and the share of grpcio's own limit."""
_SERVER_CORE, _LOAD_CORE = 0, 1
_WARM_SECONDS = 0.3


class Sample(msgspec.Struct):
    """One run against one process: requests per second of wall and CPU time, latencies in microseconds."""

    wall: float
    cpu: float
    p50: float
    p99: float


class Run(msgspec.Struct, frozen=True):
    """One way to load one process: `drive` takes seconds, `values` reads an answer that can be checked."""

    process: processes.Child
    drive: Callable[..., load.Result]
    values: Callable[[bytes], models.Array] | None = None


class Rounds(msgspec.Struct):
    """All rounds of one model."""

    raw: list[tuple[float, float]] = []
    runs: dict[str, list[Sample]] = {}
    start: float = 0.0
    pss: int = 0

    def rate(self, name: str) -> float:
        """Median requests per second of CPU time."""
        return statistics.median(sample.cpu for sample in self.runs[name])

    def wall(self, name: str) -> float:
        """Median requests per second."""
        return statistics.median(sample.wall for sample in self.runs[name])

    def p50(self, name: str) -> float:
        """Median over the rounds of the median latency."""
        return statistics.median(sample.p50 for sample in self.runs[name])

    def tail(self, name: str) -> float:
        """Median over the rounds of p99 over p50."""
        return statistics.median(sample.p99 / sample.p50 for sample in self.runs[name])

    @property
    def raw_rate(self) -> float:
        """Median calls per second of CPU time."""
        return statistics.median(cpu for _, cpu in self.raw)

    def ratio(self, name: str) -> float:
        """Median over the rounds of this run's rate to raw calls in the same round."""
        return statistics.median(s.cpu / raw[1] for s, raw in zip(self.runs[name], self.raw, strict=True))

    def gain(self, name: str, over: str) -> float:
        """Median over the rounds of one run's rate to another's."""
        return statistics.median(a.cpu / b.cpu for a, b in zip(self.runs[name], self.runs[over], strict=True))


@click.command()
@click.option("--rounds", default=15, show_default=True, help="Interleaved rounds per model.")
@click.option("--seconds", default=0.3, show_default=True, help="Seconds of each run in a round.")
@click.option("--only", default="", help="One model: linear, trees or mlp.")
@click.option("--write", type=click.Path(path_type=Path), help="Write the Markdown table here.")
def command(rounds: int, seconds: float, only: str, write: Path | None) -> None:
    """Requests per second of the server, as a share of raw ONNX Runtime on the same core."""
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("serving: needs two CPUs, one for the server and one for the load")
    os.sched_setaffinity(0, {_LOAD_CORE})
    results = {}
    for model in models.build():
        if only in ("", model.name):
            click.echo(f"{model.title} ...", err=True)
            results[model.title] = (model.name, measure(model, rounds=rounds, seconds=seconds))
    findings = [finding for name, result in results.values() for finding in judge(name, result)]
    console = rich.console.Console(width=150)
    console.print(_sheet(results))
    for text, held in findings:
        console.print(f"{'ok    ' if held else 'MISSED'}  {text}")
    if write:
        page.write_own(write, _document(results, findings, rounds=rounds, seconds=seconds))
    if not all(held for _, held in findings):
        sys.exit("serving: a requirement was missed")


def measure(model: models.Model, *, rounds: int, seconds: float) -> Rounds:
    """Start everything once, then measure in turns."""
    result = Rounds(raw=[], runs={})
    expected = _expected(model)
    json = [models.json_request(model, row) for row in range(models.BODIES)]
    binary = [models.binary_request(model, row) for row in range(models.BODIES)]
    envoy = [models.behind_envoy(json[number % models.BODIES], number) for number in range(_REQUESTS)]
    binary_envoy = [models.behind_envoy(binary[number % models.BODIES], number) for number in range(_REQUESTS)]
    own_id = [models.id_request(model, number) for number in range(_REQUESTS)]
    messages = [rpc.request(model, row) for row in range(models.BODIES)]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        arguments = processes.serve_arguments(processes.prepare(model, folder))

        def start(*command: str) -> processes.Child:
            return stack.enter_context(processes.child(_SERVER_CORE, *command))

        raw = start("tests.bench.processes", "raw", str(folder))
        echo = start("tests.bench.processes", "echo")
        calling = start("tests.bench.processes", "echo", str(folder))
        unobserved = start("tests.bench.processes", "unobserved", *arguments)
        tokens = start("seatrial_server", *processes.serve_arguments(processes.with_tokens(folder)))
        began = time.perf_counter()
        server = start("seatrial_server", *arguments)
        _check([(0, load.once(server.port, json[0]))], models.values, expected)
        result.start = time.perf_counter() - began

        def rest(process: processes.Child, requests: list[bytes], connections: int) -> Run:
            drive = functools.partial(load.drive, process.port, requests, connections=connections)
            return Run(process, drive, None if process in (echo, calling) else models.values)

        def call(process: processes.Child) -> Run:
            drive = functools.partial(rpc.drive, process.grpc_port, messages, streams=32)
            return Run(process, drive, None if process is echo else rpc.values)

        runs = {
            "json 32": rest(server, json, 32),
            "envoy 32": rest(server, envoy, 32),
            "id in body 32": rest(server, own_id, 32),
            "unobserved 32": rest(unobserved, json, 32),
            "tokens 32": rest(tokens, json, 32),
            "binary 32": rest(server, binary, 32),
            "binary envoy 32": rest(server, binary_envoy, 32),
            "echo 32": rest(echo, json, 32),
            "json 1": rest(server, json, 1),
            "binary 1": rest(server, binary, 1),
            "echo 1": rest(echo, json, 1),
            "echo + call 1": rest(calling, json, 1),
            "grpc 32": call(server),
            "grpc echo 32": call(echo),
        }
        for run in runs.values():
            run.drive(seconds=_WARM_SECONDS)
        for _ in range(rounds):
            result.raw.append(raw.raw_rate(seconds))
            for name, run in runs.items():
                result.runs.setdefault(name, []).append(_sample(run, seconds, expected))
        result.pss = server.pss()
    return result


def _sample(run: Run, seconds: float, expected: list[models.Array]) -> Sample:
    before = run.process.cpu()
    driven = run.drive(seconds=seconds)
    used = run.process.cpu() - before
    if run.values is not None:
        _check(driven.kept, run.values, expected)
    return Sample(
        wall=driven.count / driven.seconds,
        cpu=driven.count / used,
        p50=driven.quantile(0.5) * 1e6,
        p99=driven.quantile(0.99) * 1e6,
    )


def _expected(model: models.Model) -> list[models.Array]:
    reference = ort.InferenceSession(model.content, session.options(), providers=["CPUExecutionProvider"])
    return [reference.run(None, {"x": row.reshape(1, -1)})[0].reshape(-1) for row in model.rows]


def _check(
    kept: list[tuple[int, bytes]], values: Callable[[bytes], models.Array], expected: list[models.Array]
) -> None:
    for place, answer in kept:
        np.testing.assert_allclose(values(answer), expected[place % models.BODIES], rtol=1e-4, atol=1e-5)


def judge(name: str, result: Rounds) -> list[tuple[str, bool]]:
    """Every requirement with what was measured."""
    single = result.p50("json 1") / result.p50("echo + call 1")
    apart = result.p50("json 1") / (result.p50("echo 1") + 1e6 / result.raw_rate)
    tokens = result.gain("tokens 32", "json 32")
    cost = 1 - result.gain("json 32", "unobserved 32")
    checks = [
        (
            f"{name}, {run}: {result.ratio(run):.2f} of raw calls, at least {least[name]} (aim {AIM[name]})",
            result.ratio(run) >= least[name],
        )
        for run, least in REQUIRED.items()
    ]
    checks += [
        (
            f"{name}: p50 at one connection {single:.2f} of an echo with a call, at most {SINGLE} "
            f"({apart:.2f} of an echo, and a call in a tight loop)",
            single <= SINGLE,
        ),
        (f"{name}: with a token in every answer {tokens:.2f} of the rate, at least {TOKENS}", tokens >= TOKENS),
        (f"{name}: observability costs {100 * cost:.1f} %, at most {100 * OBSERVABILITY:.0f} %", cost <= OBSERVABILITY),
        (f"{name}: p99 is {result.tail('json 32'):.2f} of p50, at most {TAIL:g}", result.tail("json 32") <= TAIL),
        (f"{name}: first answer after {result.start:.2f} s, at most {START:g} s", result.start <= START),
        (f"{name}: {result.pss / 2**20:.0f} MiB PSS, at most {MEMORY}", result.pss <= MEMORY * 2**20),
    ]
    rate, share = result.rate("grpc 32"), result.gain("grpc 32", "grpc echo 32")
    checks += [
        (f"{name}: {rate:,.0f} requests/s over gRPC, at least {GRPC:,}", rate >= GRPC),
        (f"{name}: {share:.2f} of grpcio with nothing behind it, at least {GRPC_SHARE}", share >= GRPC_SHARE),
    ]
    if name == "mlp":
        gain = result.gain("binary 32", "json 32")
        checks.append((f"{name}: binary is {gain:.2f} of JSON, at least {BINARY_GAIN}", gain >= BINARY_GAIN))
    return checks


_HEADINGS = ("model", "raw calls/s", "run", "requests/s", "wall", "of raw", "p50 us", "p99 us")


def _lines(results: dict[str, tuple[str, Rounds]]) -> list[tuple[str, ...]]:
    lines = list[tuple[str, ...]]()
    for title, (_, result) in results.items():
        for position, name in enumerate(result.runs):
            p99 = statistics.median(sample.p99 for sample in result.runs[name])
            lines.append(
                (
                    "" if position else title,
                    "" if position else f"{result.raw_rate:,.0f}",
                    name,
                    f"{result.rate(name):,.0f}",
                    f"{result.wall(name):,.0f}",
                    f"{result.ratio(name):.2f}",
                    f"{result.p50(name):.0f}",
                    f"{p99:.0f}",
                )
            )
    return lines


def _sheet(results: dict[str, tuple[str, Rounds]]) -> rich.table.Table:
    sheet = rich.table.Table()
    for position, heading in enumerate(_HEADINGS):
        sheet.add_column(heading, justify="left" if position in (0, 2) else "right")
    for line in _lines(results):
        sheet.add_row(*line)
    return sheet


def _document(
    results: dict[str, tuple[str, Rounds]], findings: list[tuple[str, bool]], *, rounds: int, seconds: float
) -> str:
    table = [_HEADINGS, ("---",) * len(_HEADINGS), *_lines(results)]
    options = f"--rounds {rounds} --seconds {seconds:g} --write docs/reference/benchmarks.md"
    return _PAGE.format(
        command=f"python -m tests.bench serving {options}",
        machine=f"{processes.cpu_model()}, {os.cpu_count()} CPUs, Linux {platform.release()}",
        versions=f"ONNX Runtime {ort.__version__}, Python {platform.python_version()}",
        load=os.getloadavg()[0],
        bodies=models.BODIES,
        table="\n".join(f"| {' | '.join(line)} |" for line in table),
        findings="\n".join(f"- {'' if held else '**missed** '}{text}" for text, held in findings),
    )


_PAGE = """# Benchmarks of the model server

Made by `make bench`, or alone: `{command}`
on {machine}, {versions}.
Load average of the machine at the end: {load:.1f}; more than 2 means that other work took CPU
time, which lengthens latencies (p99 above all) and empties caches.

The server has one core, the load generator another. Requests have one row each, {bodies} distinct bodies in turn;
validation with a range for every feature and all metrics are on. Answers are checked against ONNX Runtime, and not one
error is allowed.

*requests/s* is per second of CPU time of the measured process, *wall* per second on the clock (the machine has other
work); *of raw* compares with batch-1 calls of ONNX Runtime in a tight loop in the same round. *echo* is the same HTTP
(or gRPC) stack with nothing behind it, *echo + call* the same with one call of ONNX Runtime for each request,
*unobserved* the server without its counters, *tokens* with a token for feedback in every answer. The number after a
run is its connections, for gRPC its streams over four connections. *envoy* requests have the headers that an Envoy
gateway adds, other ones in each; *id in body* requests have an id of their own in the JSON.

{table}

{findings}
"""
