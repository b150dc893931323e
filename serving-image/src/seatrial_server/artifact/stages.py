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
    shutil.rmtree(work / "prepared", ignore_errors=True)
    fetch_unpacked(
        settings.model.uri, settings.model.sha256, target=work / "package", max_bytes=settings.max_artifact_bytes
    )


def fetch_unpacked(uri: str, sha256: str, *, target: Path, max_bytes: int) -> None:
    """The verified files of one artifact in a folder of their own, and nothing else in it."""
    artifact = target.with_name(f"{target.name}.artifact")
    shutil.rmtree(target, ignore_errors=True)
    artifact.unlink(missing_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    fetch.download(uri, target=artifact, sha256=sha256, max_bytes=max_bytes)
    sandbox.call(
        "seatrial_server.artifact.archive:unpack",
        {"source": str(artifact), "target": str(target), "max_bytes": max_bytes},
        limits=_UNPACK,
    )
    artifact.unlink()
