"""What int8 costs and gains: size, time of a call at batch 1 and 32, agreement with fp32, and what neighbours do.

The demo's models and a larger perceptron, quantized by the server's own code; each variant in its own ONNX Runtime
session as the server opens it, timed in alternating rounds. Times differ between CPUs, agreement hardly.
"""

import io
import os
import platform
import statistics
import tarfile
import tempfile
import time
from pathlib import Path

import click
import msgspec
import numpy as np
import onnx
import rich.console
import rich.table
from tests.bench import models
from tests.cluster.models import catalog, digits

from seatrial_server.model import answers, manifest, schema, session
from seatrial_server.prepare import quantize

_ROUNDS, _ROUND_SECONDS = 15, 0.02
_OUTLIER = 1000.0
Array = np.ndarray


class Subject(msgspec.Struct, frozen=True):
    """A model with rows to calibrate with and rows to compare answers on."""

    title: str
    content: bytes
    calibration: Array
    rows: Array


class Line(msgspec.Struct, frozen=True):
    """One line of the table; empty cells where the variant cannot be made."""

    model: str
    variant: str
    cells: tuple[str, str, str, str, str]


@click.command()
@click.option("--write", type=click.Path(path_type=Path), help="write the table as a page of Markdown")
def command(write: Path | None) -> None:
    """Size, speed and agreement of fp32, static and dynamic int8."""
    lines = [line for subject in _subjects() for line in _lines(subject)]
    table = rich.table.Table("model", "variant", *_HEADS)
    for line in lines:
        table.add_row(line.model, line.variant, *line.cells)
    rich.console.Console(width=150).print(table)
    if write is not None:
        write.write_text(_document(lines))


_HEADS = ("size", "batch 1", "batch 32", "answers as fp32", "changed by a neighbour")


def _subjects() -> list[Subject]:
    held_out = digits.split().held_out
    linear, trees, network = (_packaged(name) for name in ("digits-v1", "cancer-trees", "digits-v2"))
    wide = np.random.default_rng(1).standard_normal((1000, 256)).astype(np.float32)
    return [
        Subject(title="digits-v1, logistic regression", content=linear[0], calibration=linear[1], rows=held_out),
        Subject(title="cancer-trees, 60 boosted trees", content=trees[0], calibration=trees[1], rows=trees[1]),
        Subject(title="digits-v2, perceptron", content=network[0], calibration=network[1], rows=held_out),
        Subject(
            title="random perceptron 256-512-512-10",
            content=models.perceptron().SerializeToString(),
            calibration=wide[:500],
            rows=wide[500:],
        ),
    ]


def _packaged(name: str) -> tuple[bytes, Array]:
    with tarfile.open(fileobj=io.BytesIO(catalog.MODELS[name].make())) as archive:
        graph, rows = (archive.extractfile(part) for part in ("model.onnx", "calibration.npz"))
        assert graph is not None
        assert rows is not None
        with np.load(io.BytesIO(rows.read())) as arrays:
            return graph.read(), arrays[arrays.files[0]]


def _lines(subject: Subject) -> list[Line]:
    original = session.load(subject.content)
    made = {"fp32": subject.content, **{mode: _made(subject, mode, original) for mode in ("Static", "Dynamic")}}
    sessions = {name: session.load(content) for name, content in made.items() if content is not None}
    times = {size: _times(sessions, subject.rows[:size]) for size in (1, 32)}
    lines = []
    for name, content in made.items():
        variant = {"fp32": "fp32", "Static": "static int8", "Dynamic": "dynamic int8"}[name]
        if content is None:
            lines.append(Line(subject.title, variant, ("not applicable", "", "", "", "")))
            continue
        same, moved = _agreement(original, sessions[name], subject.rows), _moved(sessions[name], subject.rows)
        one, many = (f"{times[size][name] * 1e6:.1f} µs" for size in (1, 32))
        lines.append(
            Line(subject.title, variant, (f"{len(content) / 1024:.0f} KiB", one, many, f"{same:.2%}", f"{moved:.1%}"))
        )
    return lines


def _made(subject: Subject, mode: str, original: session.Session) -> bytes | None:
    if not quantize.applicable(onnx.load_from_string(subject.content), mode):
        return None
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        source, optimised, target = (scratch / f"{part}.onnx" for part in ("source", "optimised", "target"))
        source.write_bytes(subject.content)
        quantize.optimise(source, optimised)
        rows = {original.schema.inputs[0].name: subject.calibration}
        ranges = (
            quantize.DYNAMIC
            if mode == "Dynamic"
            else quantize.measure(optimised, rows, model=session.load(source).schema, scratch=scratch)
        )
        quantize.apply(optimised, target, ranges, scratch=scratch)
        return target.read_bytes()


def _times(sessions: dict[str, session.Session], rows: Array) -> dict[str, float]:
    """Median seconds of a call; variants take turns, so that a busy neighbour slows all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(_ROUNDS):
        for name, model in sessions.items():
            feeds, calls, start = {model.schema.inputs[0].name: rows}, 0, time.perf_counter()
            while (elapsed := time.perf_counter() - start) < _ROUND_SECONDS:
                model.run(feeds)
                calls += 1
            seconds[name].append(elapsed / calls)
    return {name: statistics.median(values) for name, values in seconds.items()}


def _labels(model: session.Session, rows: Array) -> answers.Answers:
    return answers.read(
        schema.Card(task="classification"), model.schema, model.run({model.schema.inputs[0].name: rows})
    )


def _agreement(original: session.Session, other: session.Session, rows: Array) -> float:
    """Share of rows with the same label, each row alone: what one caller sees."""
    differing = [answers.differing(_labels(original, row[None]), _labels(other, row[None]))[0] for row in rows]
    return 1 - float(np.mean(differing))


def _moved(model: session.Session, rows: Array) -> float:
    """Share of rows whose label changes when a row with one value of 1000 times the usual joins their batch."""
    moved, outlier = [], rows[0].copy()
    outlier[0] = _OUTLIER * np.abs(rows).max()
    for start in range(0, len(rows) - 31, 31):
        batch = rows[start : start + 31]
        together = _labels(model, np.concatenate([batch, outlier[None]])).values[:31]
        alone = np.concatenate([_labels(model, row[None]).values for row in batch])
        moved.append(float((together != alone).mean()))
    return float(np.mean(moved))


def _document(lines: list[Line]) -> str:
    flags = ", ".join(manifest.cpu_flags()) or "none of note"
    rows = [f"| {line.model} | {line.variant} | {' | '.join(line.cells)} |" for line in lines]
    return f"""# Quantization measured

Written by `python -m tests.bench quantization --write docs/reference/quantization.md`, on {platform.machine()} with
{os.cpu_count()} CPUs ({flags}), ONNX Runtime {session.VERSION}, one thread. Median time of a call;
rounds of the variants alternate.

| model | variant | {" | ".join(_HEADS)} |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}

*Answers as fp32*: rows with the same label, each run alone. *Changed by a neighbour*: rows that get another label when
a row with one value {_OUTLIER:.0f} times larger than usual joins their batch. Dynamic int8 takes one scale from the
whole batch: the server never batches it, and never chooses it by itself. Trees and linear classifiers of `ai.onnx.ml`
have nothing to quantize and are served as they are; the trial's report says `NotApplicable`.
"""
