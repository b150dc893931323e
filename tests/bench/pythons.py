"""The wheel with what data scientists and operators of clusters install of it, under each Python that is promised.

Builds the wheel once, and for each Python a fresh environment with `pack` and `plugin`, resolved as pip resolves them;
then packs a model with its trial and checks a manifest. A Python that this machine hasn't got is named.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import click
from tests.cluster.harness import paths

SAYS = "Programming Language :: Python :: "
MODEL = """
import joblib, numpy, pandas
from sklearn.linear_model import LogisticRegression
random = numpy.random.default_rng(0)
frame = pandas.DataFrame({"age": random.integers(18, 90, 600), "visits": random.poisson(3, 600)})
frame["churned"] = numpy.where(frame.age > 50, "yes", "no")
frame.to_csv("train.csv", index=False)
joblib.dump(LogisticRegression().fit(frame[["age", "visits"]], frame["churned"]), "model.joblib")
"""


@click.command()
def command() -> None:
    """Install the wheel under each Python and use it; a minute or two each."""
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        wheel = _wheel(Path(folder))
        for version in _promised():
            python = _found(version)
            if python is None:
                click.echo(f"Python {version}: not on this machine")
                continue
            said = _tried(python, wheel=wheel, folder=Path(folder) / version)
            click.echo(f"Python {version}: {said or 'works'}")
            failed += [version] if said else []
    if failed:
        sys.exit(f"pythons: {', '.join(failed)} failed")


def _promised() -> list[str]:
    project = tomllib.loads((paths.REPO / "pyproject.toml").read_text())["project"]
    return [one.removeprefix(SAYS) for one in project["classifiers"] if one.startswith(SAYS)]


def _found(version: str) -> str | None:
    """On the PATH, or among pyenv's; a shim of pyenv's for a Python that isn't chosen doesn't run."""
    name = f"python{version}"
    own = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/{name}"))
    for one in (shutil.which(name), *map(str, own)):
        if one and subprocess.run([one, "-c", ""], capture_output=True, check=False).returncode == 0:
            return one
    return None


def _wheel(folder: Path) -> Path:
    build = ["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(paths.REPO)]
    subprocess.run([sys.executable, *build], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _tried(python: str, *, wheel: Path, folder: Path) -> str:
    """What went wrong, or nothing."""
    folder.mkdir()
    programs = folder / "env" / "bin"
    commands: tuple[list[str | Path], ...] = (
        [python, "-m", "venv", "env"],
        [programs / "pip", "install", "-q", "--disable-pip-version-check", f"{wheel}[pack,plugin]"],
        [programs / "python", "-W", "ignore", "-c", MODEL],
        [programs / "seatrial", "pack", "model.joblib", "--data", "train.csv", "--target", "churned",
         "-o", "churn-1.tar.gz", "--try"],
        [programs / "seatrial", "card", "churn-1.tar.gz"],
        [programs / "kubectl-seatrial", "lint", paths.REPO / "manifests" / "samples" / "churn.yaml", "--rate", "20"],
        [programs / "kubectl-seatrial", "get", "--help"],
    )  # fmt: skip
    for command_ in commands:
        done = subprocess.run(command_, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"`{' '.join(map(str, command_[:3]))}` ended with {done.returncode}: {done.stderr[-2000:]}"
    return ""
