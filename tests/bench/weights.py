"""Memory by the size of the model: of its trial, as it is and quantized, and of the server that loads what was made.

Anonymous memory of the child, polled.

Pages of files that are only mapped don't count: the kernel takes them back when it needs them, and so does no limit.
"""

import tempfile
import threading
import time
from pathlib import Path

import click
import msgspec
import numpy as np
import onnx
from tests.bench import processes
from tests.unit.server import graphs

from seatrial_server.host import config
from seatrial_server.model import manifest
from seatrial_server.trial import run

_ROWS = 700


@click.command()
@click.option("--megabytes", default=500, show_default=True)
def command(megabytes: int) -> None:
    """Peak memory of a large model's trial, as a multiple of its size."""
    for mode in ("None", "Auto"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "package"
            folder.mkdir()
            size = _package(folder, megabytes)
            settings = _settings(mode)
            watch, started = _Watch(), time.perf_counter()
            report = run.run(settings, Path(name), fetched=True)
            seconds = time.perf_counter() - started
            peak = watch.stop()
            click.echo(
                f"{_mebibytes(size)}, mode {mode}: {report.outcome}, {report.quantization.outcome} "
                f"({report.quantization.reason or report.message}), peak {_mebibytes(peak)} = {peak / size:.2f} times, "
                f"{seconds:.0f} s"
            )
            _serve(Path(name), settings)


def _serve(work: Path, settings: config.Config) -> None:
    """The peak until the server is ready, and what it keeps."""
    (work / "config.json").write_bytes(msgspec.json.encode(settings))
    arguments = ["--config", str(work / "config.json"), "--work", str(work)]
    size, started = (work / "prepared" / manifest.MODEL).stat().st_size, time.perf_counter()
    watch = _Watch()
    with processes.child(0, "seatrial_server", *processes.serve_arguments(arguments)) as server:
        seconds = time.perf_counter() - started
        kept, peak = server.anonymous(), watch.stop()
    click.echo(
        f"  served, {_mebibytes(size)}: peak {_mebibytes(peak)} = {peak / size:.2f} times, "
        f"then {_mebibytes(kept)}; ready after {seconds:.1f} s"
    )


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def _settings(mode: str) -> config.Config:
    reference = config.ModelRef(name="m", version="1", uri="bench:", sha256="0" * 64)
    quantization = config.Quantization(mode=mode, max_disagreement=0.5, min_speedup=-0.99)  # type: ignore[arg-type]
    return config.Config(model=reference, quantization=quantization)


def _package(folder: Path, megabytes: int) -> int:
    """Four layers of a perceptron, and rows to calibrate with."""
    width = int((megabytes * 2**20 / 4 / 4) ** 0.5)
    random = np.random.default_rng(0)
    weights = {f"w{layer}": random.standard_normal((width, width), np.float32) / width**0.5 for layer in range(4)}
    nodes = []
    for layer in range(4):
        nodes.append(onnx.helper.make_node("MatMul", [f"h{layer}" if layer else "x", f"w{layer}"], [f"z{layer}"]))
        nodes.append(onnx.helper.make_node("Relu", [f"z{layer}"], ["y" if layer == 3 else f"h{layer + 1}"]))
    shape = (onnx.TensorProto.FLOAT, ["N", width])
    onnx.save(graphs.model(nodes, inputs={"x": shape}, outputs={"y": shape}, constants=weights), folder / "model.onnx")
    np.savez(folder / "calibration.npz", x=random.standard_normal((_ROWS, width), np.float32))
    return (folder / "model.onnx").stat().st_size


class _Watch:
    """The largest sum of anonymous memory of this process's children."""

    def __init__(self) -> None:
        self._peak, self._stopped = 0, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def stop(self) -> int:
        """The peak in bytes."""
        self._stopped.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        while not self._stopped.wait(0.02):
            children = Path("/proc/self/task").glob("*/children")
            pids = [pid for path in children for pid in path.read_text().split()]
            self._peak = max(self._peak, sum(map(_anonymous, pids)))


def _anonymous(pid: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)
