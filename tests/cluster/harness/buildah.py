"""How buildah is called: with storage of its own in the cache folder, apart from any other on the machine.

`--layers` keeps each step, so that after a change of sources only the steps behind the COPY run again. Certificates
and pip's settings of this machine are mounted into the build, never copied: where a package index is signed by a
local authority, builds work as they are.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.cluster.harness import paths, shell

_ENV = {"BUILDAH_ISOLATION": "chroot"}
_KEPT_STEPS = 8
_MOUNTED = ("/etc/ssl/certs", "/etc/pip.conf")


def call(*args: str | Path, check: bool = True) -> str:
    folder = paths.images() / "storage"
    options: list[str | Path] = ["--root", folder / "root", "--runroot", folder / "run", "--storage-driver", "overlay"]
    return shell.run(["buildah", *options, *args], env=_ENV, check=check)


def has(name: str) -> bool:
    return bool(call("images", "--quiet", "--no-trunc", "--filter", f"reference={name}").strip())


def build(
    containerfile: Path,
    *,
    context: Path,
    name: str,
    base: str = "",
    extra: Mapping[str, Path] | None = None,
    dated: int | None = None,
) -> None:
    """Builds into buildah's own storage under `name`; `base` becomes build argument BASE, `extra` named contexts.

    With `dated`, seconds since 1970, nothing of an earlier build is used, and all files have that time.
    """
    wheels = paths.images() / "pip"
    wheels.mkdir(parents=True, exist_ok=True)
    volumes = [f"{wheels}:/root/.cache/pip"] + [f"{path}:{path}:ro" for path in _MOUNTED if os.path.exists(path)]
    flags: list[str | Path] = [part for volume in volumes for part in ("--volume", volume)]
    flags += ["--build-arg", f"BASE={base}"] if base else []
    flags += [part for key, path in (extra or {}).items() for part in ("--build-context", f"{key}={path}")]
    flags += ["--ignorefile", str(paths.HARNESS / "containerignore")]
    flags += ["--layers"] if dated is None else ["--no-cache", "--timestamp", str(dated)]
    call("bud", "--pull-never", "--network", "host", *flags, "--tag", name, "--file", containerfile, context)


def export(name: str, *, target: Path, tag: str) -> None:
    """Writes an OCI archive in which the image is called `tag`; atomic."""
    scratch = target.with_suffix(f".{os.getpid()}")
    scratch.unlink(missing_ok=True)
    call("push", "--quiet", name, f"oci-archive:{scratch}:{tag}")
    os.replace(scratch, target)


def forget_old(name: str, *, kept: int) -> None:
    """Deletes all but the latest images of this name, and steps of builds that are too old to be continued."""
    tagged = call("images", "--format", "{{.Name}}:{{.Tag}}", "--filter", f"reference={name}").split()
    # Not `rmi --prune`: the last step of a first stage looks unused, and is what the next build starts from.
    steps = call("images", "--quiet", "--no-trunc", "--filter", "dangling=true").split()
    for old in tagged[kept:] + steps[_KEPT_STEPS:]:
        call("rmi", old, check=False)  # one that another image stands on stays


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """One build at a time in this cache."""
    paths.images().mkdir(parents=True, exist_ok=True)
    with (paths.images() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        except BaseException:
            call("rm", "--all")  # a build that failed leaves its container, and that one a mount
            raise
