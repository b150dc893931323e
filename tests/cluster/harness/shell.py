"""Runs a command of the machine and turns its failure into an error that shows the command's own words.

The only place that calls subprocess.run; long-running programs are the supervisor's business.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.harness import errors

_TAIL_LINES = 25


def run(
    argv: Sequence[str | Path],
    *,
    input: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
    timeout: float = 1800,
) -> str:
    """Standard output of the command; with check, a status other than 0 raises CommandFailed with the last lines it
    printed.
    """
    command = [str(part) for part in argv]
    try:
        done = subprocess.run(
            command,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise errors.MissingTool(f"{command[0]} is not installed; install it and run again") from error
    except subprocess.TimeoutExpired as error:
        raise errors.CommandFailed(f"`{shlex.join(command)}` was still running after {timeout:.0f} s") from error
    if check and done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_TAIL_LINES:])
        raise errors.CommandFailed(f"`{shlex.join(command)}` ended with status {done.returncode}:\n{said}")
    return done.stdout


def succeeds(argv: Sequence[str | Path], *, timeout: float = 60) -> bool:
    """Whether the command ends with status 0 in time."""
    try:
        run(argv, timeout=timeout)
    except (errors.CommandFailed, errors.MissingTool):
        return False
    return True
