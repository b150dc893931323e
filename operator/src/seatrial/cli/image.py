"""`make image`: builds both images with docker, podman or buildah, and says how to load them or pushes them.

Runs in a clone with Python alone, without the project's environment: everything comes from the environment's variables
VERSION, REGISTRY, ENGINE, BASE, PUSH and SOURCE_DATE_EPOCH. What the images hold is in their Containerfiles.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

CONTAINERFILES = {"operator": "operator/Containerfile", "serving": "serving-image/Containerfile"}
LOCAL = "seatrial.dev"
_PROBES = {"docker": ("docker", "info"), "podman": ("podman", "info"), "buildah": ("buildah", "info")}
# What each engine is asked for the digest of an image in a registry; the last word of its answer.
_RESOLVING = {
    "docker": (("docker", "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", "IMAGE"),),
    "podman": (("podman", "pull", "-q", "IMAGE"), ("podman", "image", "inspect", "--format", "{{.Digest}}", "IMAGE")),
    "buildah": (
        ("buildah", "pull", "-q", "IMAGE"),
        ("buildah", "inspect", "--type", "image", "--format", "{{.FromImageDigest}}", "IMAGE"),
    ),
}
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_REGISTRY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")


class ImageError(Exception):
    """What can't be built, and what to do about it."""


@dataclasses.dataclass(frozen=True)
class Wish:
    """What to build, by which engine, and where it goes."""

    engine: str
    version: str
    registry: str
    base: str
    push: bool
    epoch: str
    """Seconds since 1970 that every file and the image itself are dated; empty: as they come."""

    def tag(self, name: str) -> str:
        return f"{self.registry}/{name}:{self.version}"


def main(environment: Mapping[str, str], *, root: Path, say: Callable[[str], None] = print) -> int:
    """Status of the command; what went wrong is on standard error."""
    try:
        wish = wished(environment, root=root)
        wish = dataclasses.replace(wish, base=pinned(wish.base or default_base(root), engine=wish.engine))
        say(f"base: {wish.base}")
        digests = {}
        for name, containerfile in CONTAINERFILES.items():
            say(f"building {wish.tag(name)} with {wish.engine}")
            _run(build(wish, name=name, containerfile=containerfile, root=root))
        if wish.push:
            for name in CONTAINERFILES:
                say(f"pushing {wish.tag(name)}")
                digests[name] = pushed(wish, name)
        say(next_steps(wish, digests))
    except ImageError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def wished(environment: Mapping[str, str], *, root: Path) -> Wish:
    """Raises ImageError with what a variable must be."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    version = environment.get("VERSION") or str(project["version"])
    registry = (environment.get("REGISTRY") or LOCAL).rstrip("/")
    if not _TAG.fullmatch(version):
        raise ImageError(f"VERSION must be a tag such as 0.1.0, not {version!r}")
    if not _REGISTRY.fullmatch(registry):
        raise ImageError(f"REGISTRY must be like registry.example.com/ml, without a scheme, not {registry!r}")
    push = environment.get("PUSH", "") not in ("", "0")
    if push and registry == LOCAL:
        raise ImageError(f"PUSH=1 needs REGISTRY=registry.example.com/ml: {LOCAL} is a name and no registry")
    epoch = environment.get("SOURCE_DATE_EPOCH") or _commit_time(root)
    if not re.fullmatch(r"[0-9]*", epoch):
        raise ImageError(f"SOURCE_DATE_EPOCH must be whole seconds since 1970, not {epoch!r}")
    engine = _engine(environment.get("ENGINE", ""))
    base = environment.get("BASE", "")
    return Wish(engine=engine, version=version, registry=registry, base=base, push=push, epoch=epoch)


def _commit_time(root: Path) -> str:
    """Of the commit that the clone stands on, so that two builds of it are dated alike; empty without one."""
    if shutil.which("git") is None:
        return ""
    command = ["git", "-C", str(root), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # of the user
    return done.stdout.strip() if done.returncode == 0 else ""


def _engine(asked: str) -> str:
    """The one asked for, else the first that works: a client whose daemon is away doesn't."""
    if asked and asked not in _PROBES:
        raise ImageError(f"ENGINE must be docker, podman or buildah, not {asked!r}")
    tried = []
    for engine in [asked] if asked else _PROBES:
        if shutil.which(engine) is None:
            tried.append(f"{engine}: not on the PATH")
            continue
        done = subprocess.run(_PROBES[engine], capture_output=True, text=True, check=False)  # noqa: S603  # of the user
        if done.returncode == 0:
            return engine
        said = (done.stderr or done.stdout).strip().splitlines()
        tried.append(f"{engine}: {said[-1] if said else 'does not answer'}")
    reasons = "\n".join(f"  {one}" for one in tried)
    raise ImageError(f"images need docker, podman or buildah; none of them works here:\n{reasons}")


def default_base(root: Path) -> str:
    """The base that the Containerfiles name."""
    found = re.search(r"^ARG BASE=(\S+)$", (root / CONTAINERFILES["operator"]).read_text(), re.MULTILINE)
    return found[1] if found else ""


def pinned(base: str, *, engine: str) -> str:
    """The base by its digest, so that both images stand on the same one; by its name where no registry knows it."""
    if "@" in base or base in ("", "scratch"):
        return base
    said = ""
    for command in _RESOLVING[engine]:
        asked = [base if word == "IMAGE" else word for word in command]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603  # of the user
        if done.returncode:
            return base
        said = done.stdout.strip()
    return f"{base}@{said}" if re.fullmatch(r"sha256:[0-9a-f]{64}", said) else base


def build(wish: Wish, *, name: str, containerfile: str, root: Path) -> list[str]:
    """The command that builds one image. buildah without root has no namespaces to give; chroot needs none."""
    given = {"VERSION": wish.version, "BASE": wish.base, "SOURCE_DATE_EPOCH": wish.epoch}
    told = [part for key, value in given.items() if value for part in ("--build-arg", f"{key}={value}")]
    # docker dates by the build argument; the others have an option.
    dated = ["--timestamp", wish.epoch] if wish.epoch and wish.engine != "docker" else []
    common = ["-t", wish.tag(name), "-f", str(root / containerfile), *told, *dated, str(root)]
    if wish.engine == "buildah":
        return ["buildah", "build", "--isolation", "chroot", "--layers", *common]
    return [wish.engine, "build", *common]


def pushed(wish: Wish, name: str) -> str:
    """Pushes an image; the digest that the registry knows it by."""
    tag = wish.tag(name)
    if wish.engine == "docker":
        _run(["docker", "push", tag])
        found = _run(["docker", "image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', tag], quiet=True)
        own = [one.partition("@")[2] for one in found.split() if one.startswith(f"{wish.registry}/{name}@")]
        return own[0] if own else ""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "digest"
        _run([wish.engine, "push", "--digestfile", str(file), tag])
        return file.read_text().strip() if file.exists() else ""


def next_steps(wish: Wish, digests: Mapping[str, str]) -> str:
    """Lines to copy: load or push, and install."""
    tags = [wish.tag(name) for name in CONTAINERFILES]
    lines = ["", "installed by:" if wish.push else "load them into a cluster on this machine:"]
    if not wish.push:
        lines += [f"  {line}" for line in _loading(wish, tags)]
        lines += ["or push them:", *(f"  {wish.engine} push {tag}" for tag in tags)]
        if wish.registry == LOCAL:
            lines[-len(tags) - 1] = "or build them under your registry's name and push them:"
            lines[-len(tags) :] = ["  make image REGISTRY=registry.example.com/ml PUSH=1"]
        lines.append("and install them:")
    values = [f"images.registry={wish.registry}", f"images.tag={wish.version}"]
    values += [f"images.{name}.digest={digest}" for name, digest in digests.items() if digest]
    chosen = " ".join(f"--set-string {value}" for value in values)  # a tag like 7 is no number
    lines.append(f"  helm install seatrial helm/seatrial -n seatrial-system --create-namespace {chosen}")
    return "\n".join(lines)


def _loading(wish: Wish, tags: Sequence[str]) -> list[str]:
    if wish.engine == "docker":
        return [f"kind load docker-image {' '.join(tags)}", *(f"minikube image load {tag}" for tag in tags)]
    lines = []
    for tag in tags:
        archive = f"{tag.rpartition('/')[2].partition(':')[0]}.tar"
        save = ["podman", "save", "-o", archive, tag]
        if wish.engine == "buildah":
            save = ["buildah", "push", tag, f"docker-archive:{archive}:{tag}"]
        lines += [shlex.join(save), f"kind load image-archive {archive}", f"minikube image load {archive}"]
    return lines


def _run(command: Sequence[str], *, quiet: bool = False) -> str:
    """Shows what the engine says, unless its output is the answer. Raises ImageError when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE if quiet else None, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ImageError(f"`{shlex.join(command)}` ended with status {done.returncode}")
    return done.stdout or ""


if __name__ == "__main__":
    sys.exit(main(os.environ, root=Path.cwd()))
