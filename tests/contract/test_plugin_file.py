"""The plugin as one file: built as the Makefile builds it, run away from the clone and its environment."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.cluster.harness import paths, shell
from tests.unit.plugin.test_lint import HEAD, MODEL

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def file() -> Path:
    shell.run(["make", "-C", str(paths.REPO), "-o", ".venv/.installed", "plugin"], timeout=600)
    return paths.REPO / "dist" / "kubectl-seatrial"


def test_it_runs_without_the_clone(file: Path, tmp_path: Path) -> None:
    python = Path(sys.executable).resolve().parent
    environment = {"PATH": f"{python}:{os.defpath}", "HOME": str(tmp_path), "SHIV_ROOT": str(tmp_path / "shiv")}
    run = subprocess.run(
        [file, "lint", "-", "--rate", "20"],
        cwd=tmp_path,
        env=environment,
        input=HEAD + MODEL + "  replicas: 0\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (run.returncode, run.stdout) == (1, "-: churn: error: spec.replicas: must be at least 1, not 0\n"), (
        run.stderr
    )
    for command in ("card", "drift"):  # made of what the server and the file's own command line have
        subprocess.run([file, command, "--help"], env=environment, cwd=tmp_path, timeout=120, check=True)


def test_it_has_the_page_and_its_licence(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    static = [name for name in names if "/plugin/dashboard/static/" in name]
    assert {name.rpartition("/")[2] for name in static} >= {"index.html", "uPlot.iife.min.js", "LICENSE"}
    assert [name for name in names if "/kopf/" in name or "/onnxruntime/" in name] == []
