"""The base of all images: a minimal Debian with Python, made of Debian packages by debootstrap, once.

Stands in for the public `debian:bookworm-slim` that the Containerfiles name by default and that needs a registry.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.cluster.harness import buildah, paths, progress, shell

_RELEASE = "bookworm"
_INCLUDED = "ca-certificates,python3,python3-venv"
KEY = f"{_RELEASE}-{_INCLUDED.replace(',', '-')}"
NAME = f"localhost/debian:{KEY}"
_DROPPED = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")


def ensure(*, say: progress.Say) -> str:
    """Its name in buildah's storage, where it is after this call."""
    if not buildah.has(NAME):
        with progress.step(say, "base image from Debian packages (a minute, once)"):
            _make()
    return NAME


def _make() -> None:
    with tempfile.TemporaryDirectory(dir=paths.images(), prefix="debootstrap.") as folder:
        root = Path(folder) / "root"
        shell.run(["debootstrap", "--variant=minbase", f"--include={_INCLUDED}", _RELEASE, root])
        for name in _DROPPED:
            shutil.rmtree(root / name, ignore_errors=True)
            (root / name).mkdir(parents=True)
        container = buildah.call("from", "scratch").strip()
        buildah.call("add", "--quiet", container, root, "/")
        buildah.call("config", "--cmd", "bash", container)
        buildah.call("commit", "--quiet", "--rm", container, NAME)
