"""Both images built twice from nothing: whether they are the same bytes, and how large they are.

Needs buildah and root. What differs is listed file by file.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

import click
from tests.cluster.harness import base_image, buildah, images, paths

EPOCH = 1_700_000_000
NAMES = ("operator", "serving")
MIB = 1 << 20


@click.command()
def command() -> None:
    """Build both images twice and compare their digests; a few minutes."""
    same = True
    with buildah.exclusive(), tempfile.TemporaryDirectory(dir=paths.images()) as scratch:
        base = base_image.ensure(say=click.echo)
        for name in NAMES:
            tags = [_built(name, base=base, attempt=attempt) for attempt in (1, 2)]
            digests = [_digest(tag, Path(scratch)) for tag in tags]
            packed = Path(scratch, "image.tar").stat().st_size
            click.echo(f"{name}: {_size(tags[0]) / MIB:.0f} MiB of its own, archive with base {packed / MIB:.0f} MiB")
            click.echo(f"{name}: {digests[0]} and {digests[1]}")
            if digests[0] != digests[1]:
                same = False
                for line in _differences(*tags):
                    click.echo(f"{name}: {line}")
            for tag in tags:
                buildah.call("rmi", tag)
    if not same:
        sys.exit("images: two builds of the same sources differ")


def _built(name: str, *, base: str, attempt: int) -> str:
    tag = f"localhost/twice-{name}:{attempt}"
    buildah.build(images.lookup(name).containerfile, context=paths.REPO, name=tag, base=base, dated=EPOCH)
    return tag


def _digest(tag: str, scratch: Path) -> str:
    archive = scratch / "image.tar"
    archive.unlink(missing_ok=True)
    buildah.export(tag, target=archive, tag="seatrial.dev/twice:1")
    return images.identity(archive)[1]


def _size(tag: str) -> int:
    """Bytes of what the image has above its base, unpacked."""
    with _Mounted(tag) as root:
        files = (root / "opt" / "seatrial").rglob("*")
        return sum(path.lstat().st_size for path in files if path.is_file() and not path.is_symlink())


def _differences(first: str, second: str) -> list[str]:
    with _Mounted(first) as one, _Mounted(second) as other:
        contents = [{path.relative_to(root): _content(path) for path in root.rglob("*")} for root in (one, other)]
    found = sorted(
        path for path in contents[0].keys() | contents[1].keys() if contents[0].get(path) != contents[1].get(path)
    )
    return [str(path) for path in found] or ["the same files; their times, owners or order differ"]


def _content(path: Path) -> str:
    if path.is_symlink():
        return str(path.readlink())
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


class _Mounted:
    """The files of an image, as long as the block lasts."""

    def __init__(self, tag: str) -> None:
        self._container = buildah.call("from", "--pull-never", tag).strip()

    def __enter__(self) -> Path:
        return Path(buildah.call("mount", self._container).strip())

    def __exit__(self, *_: object) -> None:
        buildah.call("rm", self._container)
