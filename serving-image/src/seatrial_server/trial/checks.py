"""Every test that the package declares, in a fixed order. The entry point of the sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from seatrial_server.artifact import package
from seatrial_server.model import manifest
from seatrial_server.trial import behaviour, functional, report, robustness


def run(*, package_folder: str, prepared_folder: str) -> dict[str, Any]:
    """All tests of the package on the prepared model."""
    folder, prepared = Path(package_folder), Path(prepared_folder)
    model, made = manifest.opened(prepared)
    subject, declared = behaviour.Subject(model, made.card, folder), package.tests(folder)
    results: list[report.TestResult] = []
    for test in declared.functional:
        results += functional.evaluate(test, model, made.card)
    results += [behaviour.invariance(test, subject) for test in declared.invariance]
    results += [behaviour.directional(test, subject) for test in declared.directional]
    if declared.robustness is not None:
        rows = package.reference(folder, model.schema) or manifest.kept_rows(prepared, model.schema)
        results.append(robustness.run(declared.robustness, model, made, rows))
    return {"tests": [msgspec.to_builtins(result) for result in results]}
