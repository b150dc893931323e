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
_TESTS = sandbox.Limits(seconds=1200, doing="running the declared tests")


def run(settings: config.Config, work: Path, *, fetched: bool = False) -> report.Report:
    """The verdict on one model version; `fetched`: another container has run `fetching.fetch_all` on this folder."""
    try:
        if not fetched:
            for way in sorted({0, *(one.way for one in _beside(settings))}):
                fetching.fetch_all(settings, work, way=way)
        fetching.check(work)
        prepared = prepare.run(settings, work)
    except errors.Rejected as error:
        return _rejected(error, settings)
    if prepared.quantization.outcome == "Rejected":
        refusal = errors.Rejected("QuantizationRejected", f"quantization was refused: {prepared.quantization.reason}")
        return _rejected(refusal, settings, prepared)
    try:
        sandbox.call("seatrial_server.trial.probe:run", _folders(work), limits=_PROBE)
        seen = _tests(settings, work)
    except errors.Rejected as error:
        return _rejected(error, settings, prepared)
    failed = [test for test in seen.tests if test.outcome == "Fail"]
    if failed:
        words = f"{len(failed)} of {len(seen.tests)} tests failed, first {failed[0].name!r}: {_words(failed[0])}"
        return _rejected(errors.Rejected("TestFailed", words), settings, prepared, seen)
    skipped = [test for test in seen.tests if test.outcome == "Skipped"]
    passed = f"{len(seen.tests) - len(skipped)} tests passed"
    if skipped:
        passed += f", {len(skipped)} skipped ({skipped[0].message})"
    return _report("", f"{passed}, served as {prepared.precision}", prepared, settings, seen)


def _words(first: report.TestResult) -> str:
    if first.metric:
        return first.message
    return f"{first.observed:.1%} of {first.rows} rows right, {first.bound:.1%} wanted; {first.message}"


class Seen(msgspec.Struct, frozen=True):
    """What the tests have shown."""

    tests: tuple[report.TestResult, ...] = ()
    evaluation: tuple[report.Evaluation, ...] = ()
    calibration: report.Calibration | None = None
    attribution: columns.Column | None = None


def _tests(settings: config.Config, work: Path) -> Seen:
    known = {"stable": msgspec.to_builtins(fetching.stable(settings, work))}
    result = sandbox.call("seatrial_server.trial.checks:run", {**_folders(work), **known}, limits=_TESTS)
    if result["robustness"]:
        talking = sandbox.Limits(sockets=True)
        made = sandbox.call("seatrial_server.trial.checks:robust", _folders(work), limits=talking)["test"]
        result["tests"].append(made)
    return msgspec.convert(result, Seen)


def _beside(settings: config.Config) -> list[config.Stable | config.Dataset]:
    stable = settings.trial.stable
    return [*([stable] if stable else []), *settings.trial.datasets]


def _folders(work: Path) -> dict[str, str]:
    return {"package_folder": str(work / "package"), "prepared_folder": str(work / "prepared")}


def _rejected(
    error: errors.Rejected,
    settings: config.Config,
    prepared: manifest.Manifest | None = None,
    seen: Seen | None = None,
) -> report.Report:
    return _report(error.reason, str(error), prepared, settings, seen or Seen())


def _report(
    reason: errors.Reason | str,
    message: str,
    prepared: manifest.Manifest | None,
    settings: config.Config,
    seen: Seen,
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
            "tests": seen.tests,
            "evaluation": seen.evaluation,
            "calibrationBins": seen.calibration,
            "environment": prepared.environment
            if prepared
            else manifest.Environment(onnxruntime=session.VERSION, cpu_flags=manifest.cpu_flags()),
            "calibration": prepared.calibration if prepared else None,
            "card": report.told(prepared.card) if prepared else None,
            "inputs": prepared.model.inputs if prepared else (),
            "outputs": prepared.model.outputs if prepared else (),
            "profile": _profile(prepared, seen) if prepared else (),
        },
        report.Report,
    )


def _profile(prepared: manifest.Manifest, seen: Seen) -> tuple[columns.Column, ...]:
    found = columns.of(prepared.profile)
    return (*found, seen.attribution) if seen.attribution is not None else found
