"""`python -m tests.cluster.models OUT_DIR`: write every package and index.json."""

import pathlib
import sys

from tests.cluster.models import catalog


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m tests.cluster.models OUT_DIR", file=sys.stderr)
        return 2
    index = catalog.build(pathlib.Path(arguments[0]))
    for name, entry in sorted(index.items()):
        print(f"{name:15} {entry.sha256[:12]}  {entry.description}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
