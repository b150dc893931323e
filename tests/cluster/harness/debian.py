"""The programs that tests and builds need from the system: installed on Debian as root, else named.

Looks at programs, not packages, so that other distributions work when the programs are there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import types
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.harness import errors, paths, progress, shell

CNI_PLUGINS = Path("/usr/lib/cni")
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "nft": "nftables",
    "conntrack": "conntrack",
    "ethtool": "ethtool",
    "socat": "socat",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    "sysctl": "procps",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
}
_FILES = {
    CNI_PLUGINS / "bridge": "containernetworking-plugins",
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"): "debian-archive-keyring",
}


def ensure(*, say: progress.Say) -> None:
    """Every program is there afterwards, or MissingTool says which package to install."""
    if os.geteuid() != 0:
        raise errors.MissingTool(
            "the test cluster needs root for namespaces and mounts: run as root, "
            "or use your own Docker and kind: make cluster-up CLUSTER=kind"
        )
    bring(_PACKAGES, files=_FILES, say=say)


def bring(
    programs: Mapping[str, str], *, files: Mapping[Path, str] = types.MappingProxyType({}), say: progress.Say
) -> None:
    """Installs the packages, given beside them, of those programs and files that are absent; MissingTool says which
    where that can't be. Callers wait for each other, which apt-get itself doesn't.
    """
    paths.cache().mkdir(parents=True, exist_ok=True)
    with (paths.cache() / "debian.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = _missing(programs, files)
        if not wanted:
            return
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise errors.MissingTool(
                f"install these Debian packages or their counterparts, then run again: {' '.join(wanted)}"
            )
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        with progress.step(say, f"installing Debian packages {' '.join(wanted)}"):
            shell.run(["apt-get", "-q", "update"], env=environment)
            shell.run(["apt-get", "-q", "install", "-y", "--no-install-recommends", *wanted], env=environment)
        if still := _missing(programs, files):
            raise errors.MissingTool(f"these Debian packages do not bring what they should: {' '.join(still)}")


def _missing(programs: Mapping[str, str], files: Mapping[Path, str]) -> list[str]:
    """Packages of what is absent."""
    path = f"{os.environ.get('PATH', '')}:{SEARCH_PATH}"
    absent = {package for program, package in programs.items() if shutil.which(program, path=path) is None}
    absent |= {package for file, package in files.items() if not file.exists()}
    return sorted(absent)
