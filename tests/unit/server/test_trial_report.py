"""A report reaches the operator whatever its size, through a container runtime that breaks lines at 16 KiB."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from seatrial.rollout import report as operator
from seatrial_server.model import manifest
from seatrial_server.trial import columns, report

RUNTIME_LINE = 16 * 1024


def entries(log: str) -> list[tuple[bytes, bool]]:
    """The log as a runtime keeps it: pieces of at most 16 KiB, with whether a line ends there."""
    kept = []
    for line in log.split("\n"):
        raw = line.encode()
        pieces = [raw[start : start + RUNTIME_LINE] for start in range(0, len(raw), RUNTIME_LINE)] or [b""]
        kept += [(piece, number == len(pieces)) for number, piece in enumerate(pieces, 1)]
    return kept


def as_read(log: str) -> str:
    """What the API server answers: `tailLines` counts the runtime's pieces."""
    tail = b"".join(piece + b"\n" * ends for piece, ends in entries(log)[-operator.TAIL_LINES :])
    return tail[: operator.LOG_BYTES].decode(errors="replace")


def text(length: int, seed: int) -> str:
    """Letters that don't compress well, of four bytes each."""
    return "".join(map(chr, random.Random(seed).choices(range(0x10000, 0x18000), k=length)))


def made(*, tests: int = 0, name: int = 20, message: str = "", ranges: int = 0) -> report.Report:
    numbers = random.Random(0)
    results = tuple(
        report.TestResult(name=text(name, number), outcome="Pass", observed=1.0, bound=0.9, rows=7)
        for number in range(tests)
    )
    calibration: dict[str, Any] = {"ranges": {f"t{n}": [numbers.random(), numbers.random()] for n in range(ranges)}}
    return report.Report(
        outcome="Rejected" if message else "Passed",
        reason="InvalidModel" if message else "",
        message=message,
        sha256="a" * 64,
        served_sha256="b" * 64,
        precision="fp32",
        quantization=manifest.QuantizationResult(mode="Auto", outcome="Off"),
        tests=results,
        environment=manifest.Environment(onnxruntime="1", cpu_flags=()),
        calibration=calibration,
    )


@pytest.mark.parametrize(
    ("what", "lines"),
    [
        pytest.param(made(), 1, id="small"),
        pytest.param(made(tests=100), 1, id="over one line unless compressed"),
        pytest.param(made(tests=300, name=60), 5, id="over one line when compressed"),
        pytest.param(made(tests=801, name=20, ranges=4000), 12, id="everything that may be declared"),
        pytest.param(made(message="x" * 400_000), 1, id="a refusal in many words"),
    ],
)
def test_a_report_of_any_size_arrives_whole(what, lines):
    encoded = report.encode(what)
    log = "".join(f"log line {number}\n" for number in range(100)) + encoded.decode() + "\n"
    found = operator.read(as_read(log), report.digest(encoded))
    assert (found.outcome, len(found.tests), found.calibration) == (what.outcome, len(what.tests), what.calibration)
    assert [one.name for one in found.tests] == [one.name for one in what.tests]
    assert encoded.count(b"\n") + 1 == lines
    assert max(map(len, encoded.split(b"\n"))) <= report.MAX_LINE


def test_names_are_cut_before_a_report_is_too_long():
    encoded = report.encode(made(tests=801, name=800))
    found = operator.read(as_read(encoded.decode()), report.digest(encoded))
    assert (found.outcome, len(found.tests)) == (operator.Outcome.PASSED, 801)
    assert {len(one.name) for one in found.tests} == {60}


def test_what_is_kept_of_a_log_reads_as_the_log_does():
    encoded = report.encode(made(tests=300, name=60))
    kept = operator.lines(f"before\n{encoded.decode()}\n")
    assert kept == encoded.decode()
    assert operator.decode(kept, operator.digest_of(kept)) == operator.read(kept, report.digest(encoded))


@pytest.mark.long
def test_a_report_that_is_too_long_loses_its_profile_before_its_verdict() -> None:
    column = columns.Column(name=text(20, 1), kind="Feature", bins=("missing",), reference=(1.0,), rows=7)
    whole = msgspec.structs.replace(made(tests=3), profile=(column,) * 3)
    assert b'"profile":[{' in report.encode(whole)
    many = tuple(
        columns.Column(name=text(2000, number), kind="Feature", bins=("missing",), reference=(1.0,), rows=7)
        for number in range(400)
    )
    log = report.encode(msgspec.structs.replace(made(tests=3), profile=many)).decode()
    assert operator.read(log, report.digest(log.encode())).outcome is operator.Outcome.PASSED
    assert '"profile":[]' in log
