"""Every test that the package declares, in a fixed order. The entry point of the sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from seatrial_server.artifact import package
from seatrial_server.model import declared as declared_
from seatrial_server.model import manifest
from seatrial_server.trial import behaviour, functional, report, robustness


def run(*, package_folder: str, prepared_folder: str) -> dict[str, Any]:
    """All tests of the package on the prepared model but `robust`, and whether that is declared."""
    folder, prepared = Path(package_folder), Path(prepared_folder)
    model, made = manifest.opened(prepared)
    subject, declared = behaviour.Subject(model, made.card, folder), package.tests(folder)
    results: list[report.TestResult] = []
    for test in declared.functional:
        results += functional.evaluate(test, model, made.card)
    results += [behaviour.invariance(test, subject) for test in declared.invariance]
    results += [behaviour.directional(test, subject) for test in declared.directional]
    return {
        "tests": [msgspec.to_builtins(result) for result in results],
        "robustness": declared.robustness is not None,
    }


def robust(*, package_folder: str, prepared_folder: str) -> dict[str, Any]:
    """The test that speaks HTTP, to itself."""
    folder, prepared = Path(package_folder), Path(prepared_folder)
    model, made = manifest.opened(prepared)
    test = package.tests(folder).robustness or declared_.Robustness()
    rows = package.reference(folder, model.schema) or manifest.kept_rows(prepared, model.schema)
    return {"test": msgspec.to_builtins(robustness.run(test, model, made, rows))}
