"""The trial as a sequence: fetch, prepare, tests. Ends with a report whenever there is a verdict.

The report goes to the last line of standard output, its digest to the termination message. `Unavailable` passes
through: then the trial itself broke, and that says nothing about the model.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from seatrial_server.host import config, errors, sandbox
from seatrial_server.model import manifest, session
from seatrial_server.prepare import prepare
from seatrial_server.trial import columns, fetching, report

_PROBE = sandbox.Limits(seconds=60, doing="a call with one row")


def run(settings: config.Config, work: Path, *, fetched: bool = False) -> report.Report:
    """The verdict on one model version; `fetched`: another container has run `fetching.fetch` on this folder."""
    try:
        if not fetched:
            fetching.fetch(settings, work)
        fetching.check(work)
        prepared = prepare.run(settings, work)
    except errors.Rejected as error:
        return _rejected(error, settings)
    if prepared.quantization.outcome == "Rejected":
        refusal = errors.Rejected("QuantizationRejected", f"quantization was refused: {prepared.quantization.reason}")
        return _rejected(refusal, settings, prepared)
    try:
        sandbox.call("seatrial_server.trial.probe:run", _folders(work), limits=_PROBE)
        tests = _tests(work)
    except errors.Rejected as error:
        return _rejected(error, settings, prepared)
    failed = [test for test in tests if test.outcome == "Fail"]
    if failed:
        first = failed[0]
        refusal = errors.Rejected(
            "TestFailed",
            f"{len(failed)} of {len(tests)} tests failed, first {first.name!r}: "
            f"{first.observed:.1%} of {first.rows} rows right, {first.bound:.1%} wanted; {first.message}",
        )
        return _rejected(refusal, settings, prepared, tests)
    return _report("", f"{len(tests)} tests passed, served as {prepared.precision}", prepared, settings, tests)


def _tests(work: Path) -> tuple[report.TestResult, ...]:
    result = sandbox.call("seatrial_server.trial.checks:run", _folders(work))
    found = list(result["tests"])
    if result["robustness"]:
        talking = sandbox.Limits(sockets=True)
        found.append(sandbox.call("seatrial_server.trial.checks:robust", _folders(work), limits=talking)["test"])
    return msgspec.convert(found, tuple[report.TestResult, ...])


def _folders(work: Path) -> dict[str, str]:
    return {"package_folder": str(work / "package"), "prepared_folder": str(work / "prepared")}


def _rejected(
    error: errors.Rejected,
    settings: config.Config,
    prepared: manifest.Manifest | None = None,
    tests: tuple[report.TestResult, ...] = (),
) -> report.Report:
    return _report(error.reason, str(error), prepared, settings, tests)


def _report(
    reason: errors.Reason | str,
    message: str,
    prepared: manifest.Manifest | None,
    settings: config.Config,
    tests: tuple[report.TestResult, ...],
) -> report.Report:
    skipped = manifest.QuantizationResult(
        mode=settings.quantization.mode, outcome="NotApplicable", reason="the trial ended before quantization"
    )
    return msgspec.convert(
        {
            "outcome": "Rejected" if reason else "Passed",
            "reason": reason,
            "message": message,
            "sha256": settings.model.sha256,
            "servedSha256": prepared.served_sha256 if prepared else "",
            "precision": prepared.precision if prepared else "",
            "quantization": prepared.quantization if prepared else skipped,
            "tests": tests,
            "environment": prepared.environment
            if prepared
            else manifest.Environment(onnxruntime=session.VERSION, cpu_flags=manifest.cpu_flags()),
            "calibration": prepared.calibration if prepared else None,
            "profile": columns.of(prepared.profile) if prepared else (),
        },
        report.Report,
    )
