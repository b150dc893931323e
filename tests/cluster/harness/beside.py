"""A program of this machine that belongs to one test: started, waited for, and ended with the block."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.cluster.harness import waiting

_SECONDS_TO_START = 90
_SECONDS_TO_END = 60
_SHOWN = 4000


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    *,
    what: str,
    ready: Callable[[], bool] = lambda: True,
    environment: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """The program, once it is ready.

    Args:
        environment: what it has beside PATH.

    Raises:
        NotReady: with the last that it printed.
    """
    given = {"PATH": os.environ.get("PATH", os.defpath), **(environment or {})}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [str(part) for part in command], env=given, stdout=log, stderr=log, start_new_session=True
        )
        try:
            waiting.until(ready, what=what, seconds=_SECONDS_TO_START, explain=lambda: _tail(log))
            yield
        finally:
            process.terminate()
            process.wait(timeout=_SECONDS_TO_END)


def _tail(log: IO[str]) -> str:
    log.seek(0)
    return log.read()[-_SHOWN:]
