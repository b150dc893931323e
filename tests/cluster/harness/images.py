"""Images from ordinary Containerfiles, built with buildah into OCI archives, cached by the hash of their inputs.

Neither an image registry nor a container daemon is needed: the base image comes from Debian packages (`base_image`),
Python packages come from the package index that pip is configured for. Users build the same Containerfiles unchanged
with docker or podman. Knows nothing about a running cluster, except for how to import an archive into one's containerd.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

from tests.cluster.harness import base_image, binaries, buildah, containerfile, errors, generated, paths, progress

PAUSE = "seatrial.dev/pause:1"
_KEPT = 2


@dataclasses.dataclass(frozen=True)
class Image:
    """One image: its name in the cluster, its Containerfile (the context is the repository), what it is built on."""

    tag: str
    containerfile: Path
    base: str = ""
    """Another image of ours; empty means the base image."""
    extra: tuple[generated.Context, ...] = ()

    @property
    def short(self) -> str:
        """Name without host and tag."""
        return self.tag.rpartition("/")[2].partition(":")[0]


_CLUSTER = paths.REPO / "tests" / "cluster"
MODELS = generated.Context("models", "tests.cluster.models", _CLUSTER / "models")
ROWS = generated.Context("rows", "tests.cluster.models.rows", _CLUSTER / "models")
REGISTRY = generated.Context("registry", "tests.cluster.registry", _CLUSTER / "registry")

IMAGES = {
    "operator": Image("seatrial.dev/operator:dev", paths.REPO / "operator" / "Containerfile"),
    "serving": Image("seatrial.dev/serving:dev", paths.REPO / "serving-image" / "Containerfile"),
    "store": Image("seatrial.dev/store:dev", _CLUSTER / "store" / "Containerfile", base="serving", extra=(MODELS,)),
    "client": Image("seatrial.dev/client:dev", _CLUSTER / "client" / "Containerfile", base="operator", extra=(ROWS,)),
    "registry": Image("seatrial.dev/registry:dev", _CLUSTER / "registry" / "Containerfile", extra=(REGISTRY,)),
    "trainer": Image("seatrial.dev/trainer:dev", _CLUSTER / "trainer" / "Containerfile"),
}


def available() -> tuple[str, ...]:
    """The images whose Containerfile is there."""
    return tuple(name for name, image in IMAGES.items() if _complete(image))


def _complete(image: Image) -> bool:
    return image.containerfile.exists() and (not image.base or _complete(lookup(image.base)))


def lookup(name: str) -> Image:
    if name not in IMAGES:
        raise errors.HarnessError(f"there is no image {name!r}; use one of {', '.join(IMAGES)}")
    return IMAGES[name]


def archive(name: str, *, say: progress.Say) -> Path:
    """The OCI archive of an image, built when its inputs changed; what it is built on is built first."""
    with buildah.exclusive():
        return _exported(lookup(name), say=say)


def pause(*, say: progress.Say) -> Path:
    """The archive of the sandbox image, made of the pause program in the cache."""
    target = paths.images() / f"pause-{binaries.PAUSE.key()}.tar"
    if target.exists():
        return target
    with buildah.exclusive(), tempfile.TemporaryDirectory() as folder, progress.step(say, "building the pause image"):
        shutil.copy(binaries.PAUSE.path(), Path(folder) / "pause")
        built = f"localhost/pause:{binaries.PAUSE.key()}"
        buildah.build(paths.HARNESS / "pause" / "Containerfile", context=Path(folder), name=built)
        buildah.export(built, target=target, tag=PAUSE)
    return target


def _exported(image: Image, *, say: progress.Say) -> Path:
    target = _archive_of(_name(image))
    if not target.exists():
        built = _built(image, say=say)
        target = _archive_of(built)
        with progress.step(say, f"writing the archive of {image.tag}"):
            buildah.export(built, target=target, tag=image.tag)
        _forget_old(image)
    os.utime(target)
    return target


def _built(image: Image, *, say: progress.Say) -> str:
    """The image's name in buildah's storage, where it is after this call."""
    name = _name(image)
    if buildah.has(name):
        return name
    base = _built(lookup(image.base), say=say) if image.base else base_image.ensure(say=say)
    extra = {context.name: context.folder(say=say) for context in image.extra}
    with progress.step(say, f"building {image.tag}"):
        buildah.build(image.containerfile, context=paths.REPO, name=name, base=base, extra=extra)
    if name != _name(image):
        # Somebody edited a source during the build: what was built is neither the old nor surely the new state.
        buildah.call("rmi", name)
        return _built(image, say=say)
    return name


def _name(image: Image) -> str:
    """With the key in the name, a build of other inputs can't be taken for this one."""
    return f"localhost/{image.short}:{_key(image)}"


def _archive_of(name: str) -> Path:
    return paths.images() / f"{name.rpartition('/')[2].replace(':', '-')}.tar"


def _key(image: Image) -> str:
    if not image.containerfile.exists():
        raise errors.HarnessError(f"{image.tag} can't be built: {image.containerfile} does not exist")
    base = _key(lookup(image.base)) if image.base else base_image.KEY
    also = [base, *(context.key() for context in image.extra)]
    return containerfile.digest(image.containerfile, context=paths.REPO, also=json.dumps(also))


def _forget_old(image: Image) -> None:
    """Keeps the latest archives: each is a hundred megabytes, and going back one change should stay quick."""
    archives = sorted(paths.images().glob(f"{image.short}-*.tar"), key=lambda path: path.stat().st_mtime)
    for old in archives[:-_KEPT]:
        old.unlink()
    buildah.forget_old(f"localhost/{image.short}", kept=_KEPT)


def identity(archive: Path) -> tuple[str, str]:
    """Tag and manifest digest of the image in an archive; the digest is what containerd calls the tag's target."""
    with tarfile.open(archive) as tar:
        index = tar.extractfile("index.json")
        if index is None:
            raise errors.HarnessError(f"{archive} is not an OCI archive; delete it and run again")
        manifest = json.load(index)["manifests"][0]
    return str(manifest["annotations"]["org.opencontainers.image.ref.name"]), str(manifest["digest"])
