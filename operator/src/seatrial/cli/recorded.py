"""The file of counts that a command judges: what it holds, and in one line what is wrong with it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click
import msgspec

BAD_FILE = 2


def content(file: str) -> bytes:
    """Of standard input for -."""
    return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()


@contextlib.contextmanager
def refused(file: str, *, by: str) -> Iterator[None]:
    """Whatever the block finds wrong with the file ends the command."""
    source = "standard input" if file == "-" else file
    try:
        yield
    except OSError as error:
        refuse(f"{source}: {error.strerror}", by=by)
    except msgspec.ValidationError as error:
        refuse(f"{source}: {error}", by=by)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        refuse(f"{source}: not JSON: {error}", by=by)
    except ValueError as error:
        refuse(f"{source}: {error}", by=by)


def refuse(message: str, *, by: str) -> NoReturn:
    """Ends the command with its name and the message."""
    click.echo(f"{by}: {message}", err=True)
    raise SystemExit(BAD_FILE)
