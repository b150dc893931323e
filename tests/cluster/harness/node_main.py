"""The first process inside the node's namespaces: prepares the mounts, then is the supervisor.

    nsenter --net=... unshare --mount --pid --fork --kill-child --mount-proc python -m ...node_main PLAN.json

Begins only when told so on standard input: by then its parent has written down which process to kill. What programs
write to fixed places (/run, /var/log, /var/lib) lands in places of ours, so that nothing of it is left on the machine.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.cluster.harness import paths, shell, supervisor

GO = "go\n"
_COVERED = ("/run", "/var/log", "/var/lib")


def main(argv: list[str]) -> None:
    if sys.stdin.readline() != GO:
        sys.exit("not told to begin: whoever started this process ended before it was recorded")
    plan = Path(argv[0])
    shell.run(["mount", "--make-rshared", "/"])
    needed = [plan, paths.REPO, Path(sys.prefix), Path(sys.base_prefix)]
    for place in coverable(needed):
        private = plan.parent / "machine" / place.lstrip("/")
        private.mkdir(parents=True, exist_ok=True)
        shell.run(["mount", "--bind", private, place])
    shell.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    os.chdir("/")
    supervisor.main(argv)


def coverable(needed: list[Path]) -> list[str]:
    """The fixed places under which nothing lies that we need ourselves."""
    return [place for place in _COVERED if not any(path.is_relative_to(place) for path in needed)]


if __name__ == "__main__":
    main(sys.argv[1:])
