"""What the relay costs a stable pod, on one node: ratios within rounds of one run, because rates do not travel.

The stable pod has one core, the candidate's and the load share the other. Rates are per second of CPU time that the
stable pod used. `--before TREE` compares with the server of another source tree, which is to be one without a relay.
"""

import contextlib
import datetime
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
import rich.console
import rich.table
from tests.bench import load, models, processes, rpc
from tests.cluster.harness import ports

from seatrial_server.host import config
from seatrial_server.model import manifest

STABLE, CANDIDATE = "127.0.0.1", "127.0.0.2"
ADDED_SECONDS, HALF, HUNG = 0.0003, 1.5, 1.1
"""Bounds: what is added to the median; rate at weight 50 over that at 0; stable's median beside a hung candidate."""
BUSY = 32  # connections
WORK = "wide"  # the model whose rows take much longer than passing a request on
_STABLE_CORE, _LOAD_CORE = 0, 1
_WAIT_SECONDS = 5.0


class Scene:
    """The processes of one model. `plain` has no relay configured, `before` is another tree's."""

    def __init__(self, model: models.Model, folder: Path, stack: contextlib.ExitStack, *, before: Path | None) -> None:
        self.model, self._file = model, folder / "assignment"
        self._file.write_bytes(b"")
        self.requests = [models.json_request(model, row) for row in range(models.BODIES)]
        self.calls = [rpc.request(model, row) for row in range(models.BODIES)]
        chosen = list(ports.free(3))
        self.rest_port, self.grpc_port = chosen[:2]

        def start(name: str, core: int, address: str, given: list[int], **settings: Any) -> processes.Child:
            arguments = _configured(processes.prepare(model, folder / name), revision=name, **settings)
            _simplify(folder / name / "prepared" / manifest.FILE)
            listening = [f"--{key}={port}" for key, port in zip(_PORTS, given, strict=True)]
            command = ("seatrial_server", "serve", *arguments, "--host", address, *listening)
            return stack.enter_context(processes.child(core, *command))

        relaying = config.Relay(file=str(self._file))
        self.candidate = start("candidate", _LOAD_CORE, CANDIDATE, chosen)
        self.stable = start("stable", _STABLE_CORE, STABLE, chosen, relay=relaying)
        self.plain = start("plain", _STABLE_CORE, STABLE, [0, 0, 0])
        self.before: processes.Child | None = None
        if before is not None:
            with _tree(before):
                self.before = start("before", _STABLE_CORE, STABLE, [0, 0, 0])

    def assign(self, weight: float | None, **fields: Any) -> None:
        """Have so many percent relayed, and wait until they are; None: there is no assignment."""
        text = b"" if weight is None else _assignment(weight, fields)
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(text)
        fresh.replace(self._file)
        give_up = time.monotonic() + _WAIT_SECONDS
        while self._ratio() != (weight or 0) / 100:
            if time.monotonic() > give_up:
                raise RuntimeError(f"the stable pod does not follow: {self._ratio()} instead of {weight} %")
            time.sleep(0.05)
        time.sleep(0.2)  # the file is looked at ten times a second: also what changes no ratio is in force now

    def _ratio(self) -> float:
        with urllib.request.urlopen(f"http://{STABLE}:{self.stable.metrics_port}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("seatrial_relay_ratio{"))


_PORTS = ("port", "grpc-port", "metrics-port")


def _configured(arguments: list[str], **settings: Any) -> list[str]:
    file = Path(arguments[1])
    known = msgspec.json.decode(file.read_bytes(), type=config.Config)
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(known, deployment="d", namespace="n", **settings)))
    return arguments


def _simplify(file: Path) -> None:
    """Leave out what says nothing of the model's card: another tree may not know it."""

    def said(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: said(one) for name, one in value.items() if one or one is False or one == 0}

    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "card": said(document["card"])}))


@contextlib.contextmanager
def _tree(folder: Path) -> Iterator[None]:
    """Children get their sources from there."""
    os.environ["PYTHONPATH"] = str(folder / "serving-image" / "src")
    try:
        yield
    finally:
        del os.environ["PYTHONPATH"]


def _assignment(weight: float, fields: dict[str, Any]) -> bytes:
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=9)
    document = {"deployment": "n/d", "revision": "candidate", "to": [CANDIDATE], "weight": weight, "token": "t" * 16}
    return json.dumps({**document, "until": until.isoformat(), **fields}).encode()


def _wide() -> models.Model:
    """One that is work: its rows take much longer than what the server does about them."""
    rows = np.random.default_rng(3).standard_normal((models.BODIES, 256)).astype(np.float32).round(6)
    content = models.perceptron((256, 4096, 4096, 4096, 10)).SerializeToString()
    return models.Model(name=WORK, title="perceptron 256-4096-4096-4096-10", content=content, rows=rows)


Figures = dict[str, list[float]]
Case = Callable[[], float]
"""One run: requests per second of the stable pod's CPU time, or the median latency in seconds."""


@click.command()
@click.option("--rounds", default=9, show_default=True, help="Interleaved rounds per model.")
@click.option("--seconds", default=0.5, show_default=True, help="Seconds of each run in a round.")
@click.option("--before", type=click.Path(path_type=Path, exists=True), help="A source tree without a relay.")
@click.option("--seed", default=1, show_default=True, help="Of the order in each round.")
@click.option("--only", default="", help="One model: linear, trees, mlp or wide.")
def command(rounds: int, seconds: float, before: Path | None, seed: int, only: str) -> None:
    """Latency and throughput of a stable pod that relays, against the same that does not."""
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("relay: needs two CPUs")
    os.sched_setaffinity(0, {_LOAD_CORE})
    measured: dict[str, Figures] = {}
    for model in (*models.build(), _wide()):
        if only in ("", model.name):
            click.echo(f"{model.title} ...", err=True)
            measured[model.name] = measure(model, rounds=rounds, seconds=seconds, before=before, seed=seed)
    console = rich.console.Console(width=120)
    console.print(_sheet(measured))
    findings = [finding for name, figures in measured.items() for finding in judge(name, figures)]
    for text, held in findings:
        console.print(f"{'ok    ' if held else 'MISSED'}  {text}")
    if not all(held for _, held in findings):
        sys.exit("relay: a requirement was missed")


def measure(model: models.Model, *, rounds: int, seconds: float, before: Path | None, seed: int) -> Figures:
    """Start everything once, then measure all cases of a round in an order by chance: what one leaves behind, or the
    machine does meanwhile, is nobody's then.
    """
    found: Figures = {}
    chance = random.Random(seed)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cases = _cases(Scene(model, folder, stack, before=before), seconds)
        for case in cases.values():  # warm
            case()
        for _ in range(rounds):
            for name in chance.sample(sorted(cases), len(cases)):
                found.setdefault(name, []).append(cases[name]())
    return {name: found[name] for name in cases}


def _cases(scene: Scene, seconds: float) -> dict[str, Case]:
    """Each sets up what it needs, so that they may come in any order."""

    def rate(child: processes.Child, weight: float | None = None) -> Case:
        def case() -> float:
            scene.assign(weight)
            used = child.cpu()
            # Clients wait for their answers: with half of them at the candidate its own batches would be half as large.
            connections = 2 * BUSY if weight == 50 else BUSY
            driven = load.drive(child.port, scene.requests, connections=connections, seconds=seconds)
            return driven.count / (child.cpu() - used)

        return case

    def median(address: str, weight: float | None = None, **fields: Any) -> Case:
        def case() -> float:
            scene.assign(weight, **fields)
            return load.drive(
                scene.rest_port, scene.requests, connections=1, seconds=seconds, address=address
            ).quantile(0.5)

        return case

    def calls(weight: float | None = None) -> Case:
        def case() -> float:
            scene.assign(weight)
            return rpc.drive(scene.grpc_port, scene.calls, streams=1, seconds=seconds).quantile(0.5)

        return case

    def hung() -> float:
        scene.candidate.process.send_signal(signal.SIGSTOP)
        try:
            return median(STABLE, 10, coverAfter=0.02)()
        finally:
            scene.candidate.process.send_signal(signal.SIGCONT)
            scene.assign(None)  # an address that rests is forgotten with its assignment

    return {
        **({"rate, before": rate(scene.before)} if scene.before is not None else {}),
        "rate, no relay": rate(scene.plain),
        "rate, no assignment": rate(scene.stable),
        **{f"rate, weight {weight}": rate(scene.stable, weight) for weight in (0, 50, 100)},
        "p50, no assignment": median(STABLE),
        "p50, the candidate alone": median(CANDIDATE),
        "p50, weight 100": median(STABLE, 100),
        "p50, weight 10, the candidate hangs": hung,
        "p50, grpc, no assignment": calls(),
        "p50, grpc, weight 100": calls(100),
    }


def judge(name: str, figures: Figures) -> list[tuple[str, bool]]:
    """What was promised, with what was measured."""

    def ratio(one: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(figures[one], figures[other], strict=True))

    def added(one: str, other: str) -> float:
        return statistics.median(a - b for a, b in zip(figures[one], figures[other], strict=True))

    more = added("p50, weight 100", "p50, the candidate alone")
    half, hung = (
        ratio("rate, weight 50", "rate, weight 0"),
        ratio("p50, weight 10, the candidate hangs", "p50, no assignment"),
    )
    checks = [
        (
            f"{name}: a relayed request takes {1000 * more:.2f} ms more, at most 0.3 ms where the model is quick",
            more <= ADDED_SECONDS or name == WORK,  # its milliseconds vary by more
        ),
        (f"{name}: the median beside a hung candidate is {hung:.2f} of that without, at most {HUNG}", hung <= HUNG),
        (
            f"{name}: rate at weight 50 is {half:.2f} of that at 0, at least {HALF} where the model is work ({WORK})",
            half >= HALF or name != WORK,
        ),
        (f"{name}: without an assignment {ratio('rate, no assignment', 'rate, no relay'):.2f} of no relay", True),
    ]
    if "rate, before" in figures:
        share = ratio("rate, no assignment", "rate, before")
        checks.append((f"{name}: without an assignment {share:.2f} of the other tree, at least 0.97", share >= 0.97))
    return checks


def _sheet(measured: dict[str, Figures]) -> rich.table.Table:
    sheet = rich.table.Table("", *measured)
    for run in next(iter(measured.values()), {}):
        shown = "{:,.0f} /s" if run.startswith("rate") else "{:.3f} ms"
        factor = 1 if run.startswith("rate") else 1000
        sheet.add_row(run, *(shown.format(factor * statistics.median(one[run])) for one in measured.values()))
    return sheet
