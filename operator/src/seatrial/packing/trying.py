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

from seatrial.packing import errors
from seatrial.rollout import report

_SECONDS = 1800


def run(package: Path, *, name: str, version: str) -> report.Report:
    """The trial's report.

    Raises:
        TrialRefused: the trial refused the package, or could not run.
    """
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    uri = f"pvc://local/{package.name}"
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        model = {"name": name, "version": version, "uri": uri, "sha256": digest}
        config.write_text(json.dumps({"model": model}))
        termination = Path(folder) / "termination"
        environment = {"SEATRIAL_CLAIM": str(package.resolve().parent), "SEATRIAL_TERMINATION_LOG": str(termination)}
        finished = subprocess.run(  # noqa: S603  # our own server
            [sys.executable, "-m", "seatrial_server", "trial", "--config", config, "--work", Path(folder) / "work"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
            env={**os.environ, **environment},
        )
        told = json.loads(termination.read_text()) if termination.is_file() else {}
    if finished.returncode:
        raise errors.TrialRefused(f"the trial could not run: {told.get('error') or finished.stderr.strip()[-500:]}")
    found = report.read(finished.stdout, told["sha256"])
    if found.outcome is not report.Outcome.PASSED:
        raise errors.TrialRefused(f"the trial refuses {package}: {found.reason}: {found.message}")
    return found
