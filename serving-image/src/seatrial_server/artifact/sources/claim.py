"""pvc://claim/path: a file on a persistent volume that the operator mounted read-only into this container.

SEATRIAL_CLAIM names the mount. Links inside the volume may not lead out of it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from seatrial_server.artifact.sources import source
from seatrial_server.host import errors

MOUNT = "SEATRIAL_CLAIM"
_CHUNK = 1024 * 1024


@contextlib.contextmanager
def open_artifact(ask: source.Ask) -> Iterator[source.Body]:
    """Open the file below the mount."""
    path = _path(ask.uri)
    try:
        # Without O_NONBLOCK a named pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        raise _cannot_read(ask.uri, error) from None
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise source.refused(ask.uri, "it is not a regular file: check the path in spec.model.uri")
        yield source.Body(chunks=_chunks(ask.uri, descriptor), total=state.st_size)
    finally:
        os.close(descriptor)


def _path(uri: str) -> Path:
    parts = urllib.parse.urlsplit(uri)
    relative = parts.path.lstrip("/")
    if not parts.netloc or not relative or ".." in relative.split("/"):
        raise source.refused(uri, "spec.model.uri must be pvc://claim/path, without ..")
    mount = os.environ.get(MOUNT, "")
    if not mount:
        raise errors.Unavailable(f"{source.redact(uri)}: no volume is mounted here: set {MOUNT} to its folder")
    root = Path(mount).resolve()
    try:
        path = (root / relative).resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in circles
        raise _cannot_read(uri, error) from None
    if not path.is_relative_to(root):
        raise source.refused(uri, "it is a link that leads out of the volume: put the file itself there")
    return path


def _chunks(uri: str, descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except OSError as error:
            raise source.Transient(f"{source.redact(uri)}: {error.strerror}", restart=True) from error
        if not chunk:
            return
        yield chunk


def _cannot_read(uri: str, error: OSError | RuntimeError) -> Exception:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return source.refused(uri, "the volume holds no such file: check the path in spec.model.uri")
    if isinstance(error, PermissionError):
        return source.refused(uri, f"user {os.getuid()} may not read it: change the file's mode on the volume")
    if isinstance(error, RuntimeError):
        return source.refused(uri, "its links lead in circles: put the file itself there")
    return source.Transient(f"the volume: {error.strerror}")
