"""`python -m tests.cluster.models.rows OUT_DIR`: rows.json, held-out digits for the traffic client."""

from __future__ import annotations

import pathlib
import sys

import msgspec
from tests.cluster.models import digits, export

FILE = "rows.json"


def content() -> bytes:
    """JSON {input, low, high, noise, classes, rows: [[64 numbers], ...], labels: [...]}; dark digits are among them."""
    data = digits.split()
    return msgspec.json.encode(
        {
            "input": export.INPUT,
            "low": 0.0,
            "high": digits.WHITE,
            "noise": digits.NOISE,
            "classes": digits.CLASSES,
            "rows": data.held_out.tolist(),
            "labels": data.held_out_labels.tolist(),
        }
    )


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m tests.cluster.models.rows OUT_DIR", file=sys.stderr)
        return 2
    out = pathlib.Path(arguments[0])
    out.mkdir(parents=True, exist_ok=True)
    (out / FILE).write_bytes(content())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
