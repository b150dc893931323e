"""The model server beside its peers: the same bodies, the same heads, the same ONNX Runtime, in interleaved rounds.

KServe's server, MLServer and Triton (the server of its Python wheel, whose models are Python functions) run in
environments of their own below the cache, made on first use; one that can't be installed or started here is left out,
with a sentence. One core for the server with all its processes, another for the load. Rates are per second of CPU time,
as in `serving`, and every kept answer is checked.
"""

import contextlib
import datetime
import functools
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import numpy as np
import onnxruntime as ort
import rich.console
import rich.table
from tests.bench import load, models, page, processes
from tests.cluster.harness import paths, ports

from seatrial_server.model import session

PROGRAMS = Path(__file__).parent / "peer_servers"
CONNECTIONS, WARM_SECONDS, START_SECONDS = 32, 1.0, 60.0
SERVER_CORE, LOAD_CORE = 0, 1
OURS = "seatrial"
_PAGE = (
    page.OTHERS
    + """

{date}, `python -m tests.bench peers {options}`, {machine}, load average {load:.1f} at the end.

Requests per second of CPU time of the server with all its processes, as a share of batch-1 calls of ONNX Runtime
{runtime} in a tight loop in the same round (median of {rounds} interleaved rounds); ONNX Runtime is the same in every
server, one thread, and so are the bodies: {bodies} distinct rows in turn over {connections} kept connections. *equal*
heads are the same for every request, *envoy* heads have what an Envoy gateway adds, in part new for each request.
Every server is as it starts by itself but for one worker, access logs off, and for Triton a batcher with a delay of
1 ms. Triton's wheel has no backend for ONNX Runtime, so its model is a Python function; with its own C++ backend, which
is not in the wheel, it would be faster.

{table}
{left_out}"""
)


class Peer(msgspec.Struct, frozen=True):
    """Another server. `python` starts its environment."""

    name: str
    requirements: tuple[str, ...]
    python: str = sys.executable

    @property
    def program(self) -> Path:
        """What serves one model with it."""
        return PROGRAMS / f"{self.name}_server.py"

    @property
    def title(self) -> str:
        """Name and version."""
        return self.requirements[0].replace("==", " ")


PEERS = (
    Peer("kserve", ("kserve==0.21.0",)),
    Peer("mlserver", ("mlserver==1.7.1", "uvloop<0.22")),  # newer ones end its workers
    Peer("triton", ("nvidia-pytriton==0.7.0",), python="/usr/bin/python3"),  # fails with CPython 3.11.3 to 3.11.8
)


class Unavailable(Exception):
    """Why a peer can't be measured here."""


class Running:
    """A peer's processes: one session, so that all of them are found."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.port = process, port

    def cpu(self) -> float:
        """Seconds of all its living processes; the kernel counts in hundredths."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has just ended
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.process.pid:
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@click.command()
@click.option("--rounds", default=7, show_default=True, help="Interleaved rounds per model.")
@click.option("--seconds", default=1.0, show_default=True, help="Seconds of each run in a round.")
@click.option("--write", type=click.Path(path_type=Path), help="Write the part of this page here.")
def command(rounds: int, seconds: float, write: Path | None) -> None:
    """Requests per second of several model servers, as a share of raw ONNX Runtime on the same core."""
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("peers: needs two CPUs, one for the server and one for the load")
    os.sched_setaffinity(0, {LOAD_CORE})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end with it
    left_out: dict[str, str] = {}
    lines = []
    for model in models.build():
        click.echo(f"{model.title} ...", err=True)
        lines += _lines(model, measure(model, rounds=rounds, seconds=seconds, left_out=left_out))
    sheet = rich.table.Table(title="requests per second of CPU time, of raw ONNX Runtime")
    for heading in HEADINGS:
        sheet.add_column(heading)
    for line in lines:
        sheet.add_row(*line)
    console = rich.console.Console(width=120)
    console.print(sheet)
    for name, reason in left_out.items():
        console.print(f"{name} was left out: {reason}")
    if write:
        table = [HEADINGS, ("---",) * len(HEADINGS), *lines]
        page.write_beside(
            write,
            _PAGE.format(
                date=datetime.datetime.now(datetime.UTC).date(),
                options=f"--rounds {rounds} --seconds {seconds:g} --write {write}",
                machine=f"{processes.cpu_model()}, {os.cpu_count()} CPUs, Linux {platform.release()}",
                load=os.getloadavg()[0],
                runtime=ort.__version__,
                rounds=rounds,
                bodies=models.BODIES,
                connections=CONNECTIONS,
                table="\n".join(f"| {' | '.join(line)} |" for line in table),
                left_out="".join(f"\n{name} was left out: {reason}\n" for name, reason in left_out.items()),
            ),
        )


HEADINGS = ("model", "server", "equal", "envoy", "Seatrial is, equal", "Seatrial is, envoy")


def measure(
    model: models.Model, *, rounds: int, seconds: float, left_out: dict[str, str]
) -> dict[str, dict[str, list[float]]]:
    """Shares of raw calls by server and kind of head, a number each round."""
    requests = [models.json_request(model, row) for row in range(models.BODIES)]
    heads = {
        "equal": requests,
        "envoy": [models.behind_envoy(requests[one % models.BODIES], one) for one in range(8 * models.BODIES)],
    }
    reference = ort.InferenceSession(model.content, session.options(), providers=["CPUExecutionProvider"])
    expected = [reference.run(None, {"x": row.reshape(1, -1)})[0].reshape(-1) for row in model.rows]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        served = processes.serve_arguments(processes.prepare(model, folder))
        raw = stack.enter_context(processes.child(SERVER_CORE, "tests.bench.processes", "raw", str(folder)))
        servers: dict[str, processes.Child | Running] = {
            OURS: stack.enter_context(processes.child(SERVER_CORE, "seatrial_server", *served))
        }
        for peer in PEERS:
            if peer.name not in left_out:
                try:
                    servers[peer.title] = stack.enter_context(started(peer, model, folder))
                except Unavailable as error:
                    left_out[peer.name] = str(error)
        shares: dict[str, dict[str, list[float]]] = {name: {head: [] for head in heads} for name in servers}
        run = functools.partial(load.drive, connections=CONNECTIONS)
        for server in servers.values():
            run(server.port, requests, seconds=WARM_SECONDS)
        for _ in range(rounds):
            _, base = raw.raw_rate(seconds)
            for name, server in servers.items():
                for head, sent in heads.items():
                    before = server.cpu()
                    driven = run(server.port, sent, seconds=seconds)
                    shares[name][head].append(driven.count / (server.cpu() - before) / base)
                    for place, answer in driven.kept:
                        found, wanted = models.values(answer), expected[place % models.BODIES]
                        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    return shares


def _lines(model: models.Model, shares: dict[str, dict[str, list[float]]]) -> list[tuple[str, ...]]:
    middle = {name: {head: statistics.median(own) for head, own in by.items()} for name, by in shares.items()}
    return [
        (
            model.title if name == OURS else "",
            name,
            *(f"{share:.3f}" for share in by.values()),
            *("" if name == OURS else f"{middle[OURS][head] / share:.1f} times" for head, share in by.items()),
        )
        for name, by in middle.items()
    ]


@contextlib.contextmanager
def started(peer: Peer, model: models.Model, folder: Path) -> Iterator[Running]:
    """The peer with this model, ready. Raises Unavailable."""
    python = environment(peer)
    path, port = folder / f"{model.name}.onnx", ports.free_port()
    path.write_bytes(model.content)
    with (folder / f"{peer.name}.log").open("wb") as log:
        process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CORE), python, str(peer.program), model.name, str(path), str(port)],
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=folder,
        )
    try:
        _await_ready(process, model, port, log=folder / f"{peer.name}.log")
        yield Running(process, port)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def _await_ready(process: subprocess.Popen[bytes], model: models.Model, port: int, *, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError, load.LoadError):
            if load.once(port, models.json_request(model, 0)).startswith(b"HTTP/1.1 200 "):
                return
        time.sleep(0.5)
    raise Unavailable(f"it did not answer within {START_SECONDS:g} s: {log.read_text(errors='replace')[-300:]}")


def environment(peer: Peer) -> Path:
    """The interpreter of the peer's own environment, made when it isn't there. Raises Unavailable."""
    folder = paths.cache() / "peers" / peer.name
    python, stamp = folder / "bin" / "python", folder / ".installed"
    wanted = "\n".join([*peer.requirements, f"onnxruntime=={ort.__version__}"])
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    click.echo(f"installing {peer.title} into {folder} ...", err=True)
    for command in (
        [peer.python, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted.split("\n")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"{' '.join(command[:4])} failed: {(done.stderr or done.stdout).strip()[-300:]}")
    stamp.write_text(wanted)
    return python
