"""Puts an image archive into the node's containerd, unless exactly that image is there already.

An import moves the tag: containers started afterwards (imagePullPolicy IfNotPresent) run the new image, running ones
keep theirs.
"""

from __future__ import annotations

from pathlib import Path

from tests.cluster.harness import images, node_programs, paths, progress, shell, waiting


def import_archive(archive: Path, *, say: progress.Say) -> None:
    tag, digest = images.identity(archive)
    if digest in _present(tag):
        return
    with progress.step(say, f"importing {tag}"):
        _ctr("images", "import", str(archive))


def _present(tag: str) -> str:
    """containerd's line about the image; empty when it has none."""
    waiting.until(node_programs.containerd_socket(paths.run()).exists, what="containerd", seconds=30)
    return _ctr("images", "list", f"name=={tag}")


def _ctr(*args: str) -> str:
    return shell.run(["ctr", "--address", node_programs.containerd_socket(paths.run()), "--namespace", "k8s.io", *args])
