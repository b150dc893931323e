"""The report that a trial prints, as it stands: plain, or packed where it is long, as a profile of many columns is."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any


def read(output: str) -> dict[str, Any]:
    """The report at the end of a trial's output, of one line."""
    line = output.splitlines()[-1]
    packed = line.startswith("seatrial-report 1/1 ")
    report: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(line.split()[-1])) if packed else line)
    return report
