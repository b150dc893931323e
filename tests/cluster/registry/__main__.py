"""`python -m tests.cluster.registry OUT_DIR`: write the program and its settings, as a build context."""

from __future__ import annotations

import pathlib
import shutil
import sys

from tests.cluster.harness import binaries, progress

SETTINGS = """\
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: /data}}
http: {addr: ":5000"}
"""


def main(folder: str) -> None:
    out = pathlib.Path(folder)
    out.mkdir(parents=True)
    binaries.ensure(binaries.OCI_REGISTRY, say=progress.silent)
    shutil.copy(binaries.OCI_REGISTRY.path(), out / "registry")
    (out / "registry").chmod(0o755)
    (out / "config.yml").write_text(SETTINGS)


if __name__ == "__main__":
    main(sys.argv[1])
