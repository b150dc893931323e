"""Build contexts that a program of this repository writes: models for the store, rows for the traffic client.

Made once per state of the generating package, kept in the cache. The Containerfile copies from them by name.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
import tempfile
from pathlib import Path

from tests.cluster.harness import paths, progress, shell


@dataclasses.dataclass(frozen=True)
class Context:
    """A named build context: the output of `python -m MODULE FOLDER`."""

    name: str
    module: str
    package: Path
    """The sources that decide the output, next to the locked libraries."""

    def key(self) -> str:
        total = hashlib.sha256((paths.REPO / "requirements" / "dev.txt").read_bytes())
        for path in sorted(self.package.rglob("*.py")):
            total.update(f"\0{path.relative_to(self.package)}\0".encode() + path.read_bytes())
        return total.hexdigest()[:16]

    def folder(self, *, say: progress.Say) -> Path:
        """Where its files are after this call."""
        target = paths.images() / f"context-{self.name}-{self.key()}"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=paths.images()) as scratch:
                with progress.step(say, f"making the {self.name} of the demo"):
                    shell.run([sys.executable, "-m", self.module, f"{scratch}/out"], cwd=paths.REPO)
                os.rename(f"{scratch}/out", target)
        return target
