"""The environment of a data scientist: `seatrial[pack]` with all libraries it packs models of, and a kernel.

Several hundred megabytes, hence apart from the development environment; `make test` makes it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venv-laptop" / "bin" / "python"
needed = pytest.mark.skipif(not PYTHON.exists(), reason="make .venv-laptop/.installed")


def run(script: Path, *arguments: str | Path, folder: Path, seconds: float = 280) -> str:
    """What the script prints, run in the folder with this checkout's packages."""
    paths = os.pathsep.join(str(ROOT / part) for part in ("operator/src", "serving-image/src"))
    finished = subprocess.run(
        [PYTHON, "-W", "ignore", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "HOME": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout
