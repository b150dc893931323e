"""Every test that the package declares, in a fixed order. The entry points of the sandbox."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec

from seatrial_server.artifact import datasets, package
from seatrial_server.model import declared as declared_
from seatrial_server.model import manifest
from seatrial_server.trial import (
    attributed,
    baseline,
    behaviour,
    data,
    fairness,
    functional,
    performance,
    report,
    robustness,
    shown,
    subject,
)


def needed(*, package_folder: str) -> dict[str, Any]:
    """What else the package's tests ask for: names of datasets, and whether the stable version."""
    tests = package.tests(Path(package_folder))
    return {"datasets": sorted(tests.datasets), "stable": tests.against_stable}


def run(*, package_folder: str, prepared_folder: str, stable: dict[str, Any] | None = None) -> dict[str, Any]:
    """All tests of the package on the prepared model but `robust`, whether that is declared, and what was measured.

    `stable`: `baseline.Known`, or nothing where there is no stable version.
    """
    folder, prepared = Path(package_folder), Path(prepared_folder)
    model, made = manifest.opened(prepared)
    declared = package.tests(folder)
    with tempfile.TemporaryDirectory(dir=prepared.parent) as scratch:
        against = baseline.of(msgspec.convert(stable, baseline.Known | None), made, prepared.parent, Path(scratch))
        on = subject.Subject(
            model,
            made.card,
            folder,
            made=made,
            fetched=datasets.folder_of(prepared.parent),
            stable=against,
            scratch=Path(scratch) / "converted",
        )
        results: list[report.TestResult] = []
        for test in declared.functional:
            results += functional.evaluate(test, model, made.card)
        results += [behaviour.invariance(test, on) for test in declared.invariance]
        results += [behaviour.directional(test, on) for test in declared.directional]
        results += [data.evaluate(test, on) for test in declared.data]
        results += [performance.regression(test, on) for test in declared.regressions]
        measured = [performance.evaluate(test, on) for test in declared.performance]
        rates = [fairness.evaluate(test, on) for test in declared.fairness]
        results += [result for result, _ in measured] + [result for result, _ in rates]
        evaluation = [one for _, one in measured if one is not None] + [one for _, ones in rates for one in ones]
        seen, calibration = shown.of(on)
        attribution = attributed.of(on)
    return {
        "tests": [msgspec.to_builtins(result) for result in results],
        "robustness": declared.robustness is not None,
        "evaluation": [msgspec.to_builtins(one) for one in (*seen, *evaluation)],
        "calibration": msgspec.to_builtins(calibration),
        "attribution": msgspec.to_builtins(attribution),
    }


def robust(*, package_folder: str, prepared_folder: str) -> dict[str, Any]:
    """The test that speaks HTTP, to itself."""
    folder, prepared = Path(package_folder), Path(prepared_folder)
    model, made = manifest.opened(prepared)
    test = package.tests(folder).robustness or declared_.Robustness()
    rows = package.reference(folder, model.schema) or manifest.kept_rows(prepared, model.schema)
    return {"test": msgspec.to_builtins(robustness.run(test, model, made, rows))}
