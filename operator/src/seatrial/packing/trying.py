"""The trial that the operator would run, on this machine: the model server's own command on the package's file.

In a process of its own, as in the cluster: what opens the graph is the server, under its limits.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from seatrial.packing import errors
from seatrial.rollout import report

_SECONDS = 1800


def run(package: Path, *, name: str, version: str) -> report.Report:
    """The trial's report.

    Raises:
        TrialRefused: the trial refused the package, or could not run.
    """
    with tempfile.TemporaryDirectory() as folder:
        tried = Tried(package, Path(folder), name=name, version=version)
        printed = tried.trial()
        found = report.read(printed, tried.told["sha256"])
    if found.outcome is not report.Outcome.PASSED:
        raise errors.TrialRefused(f"the trial refuses {package}: {found.reason}: {found.message}")
    return found


class Tried:
    """A package, a work folder, and the server's own commands on them."""

    def __init__(self, package: Path, folder: Path, *, name: str, version: str) -> None:
        self._folder = folder
        self._config, self._termination = folder / "config.json", folder / "termination"
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        model = {"name": name, "version": version, "uri": f"pvc://local/{package.name}", "sha256": digest}
        self._config.write_text(json.dumps({"model": model}))
        self._environment = {
            "SEATRIAL_CLAIM": str(package.resolve().parent),
            "SEATRIAL_TERMINATION_LOG": str(self._termination),
        }

    @property
    def told(self) -> dict[str, Any]:
        """The termination message."""
        told: dict[str, Any] = json.loads(self._termination.read_text()) if self._termination.is_file() else {}
        return told

    def trial(self) -> str:
        """What it printed: the report is at the end.

        Raises:
            TrialRefused: it could not run.
        """
        finished = self._run("trial")
        if finished.returncode:
            why = self.told.get("error") or finished.stderr.strip()[-500:]
            raise errors.TrialRefused(f"the trial could not run: {why}")
        return finished.stdout

    def card(self, printed: str, form: str) -> str:
        """The card of what the trial left, and printed."""
        path = self._folder / "printed"
        path.write_text(printed)
        finished = self._run("card", "--report", path, "--form", form)
        if finished.returncode:
            raise errors.TrialRefused(
                f"no card can be made: {self.told.get('error') or finished.stderr.strip()[-500:]}"
            )
        return finished.stdout

    def _run(self, command: str, *more: str | Path) -> subprocess.CompletedProcess[str]:
        places = ("--config", self._config, "--work", self._folder / "work")
        return subprocess.run(  # noqa: S603  # our own server
            [sys.executable, "-m", "seatrial_server", command, *places, *more],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
            env={**os.environ, **self._environment},
        )
