"""The fetch stage as a whole: artifact to `work/package`. `prepare.run` is the stage that follows.

Downloads in this process, unpacks in the sandbox, because only the second looks inside.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from seatrial_server.artifact import fetch
from seatrial_server.host import config, sandbox

_UNPACK = sandbox.Limits(data=2 * 1024**3, seconds=600)


def fetch_package(settings: config.Config, work: Path) -> None:
    """Leave the verified files in `work/package`; starts afresh when a former attempt was interrupted."""
    artifact, package = work / "artifact", work / "package"
    for leftover in (package, work / "prepared"):
        shutil.rmtree(leftover, ignore_errors=True)
    artifact.unlink(missing_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    fetch.download(
        settings.model.uri, target=artifact, sha256=settings.model.sha256, max_bytes=settings.max_artifact_bytes
    )
    sandbox.call(
        "seatrial_server.artifact.archive:unpack",
        {"source": str(artifact), "target": str(package), "max_bytes": settings.max_artifact_bytes},
        limits=_UNPACK,
    )
    artifact.unlink()
