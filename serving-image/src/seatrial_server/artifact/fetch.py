"""Bring the artifact to disk: bounded in size, time, speed and retries, and hashed while it streams.

Stands alone: knows neither archives nor ONNX, and of the stores only `sources.source`. Nothing is left behind under the
target's name unless the digest fits. An attempt goes on where the former one ended if the store still has the same
version.
"""

from __future__ import annotations

import hashlib
import io
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from seatrial_server.artifact import sources
from seatrial_server.artifact.sources import source
from seatrial_server.host import errors, logs

log = logging.getLogger(__name__)


class Patience(msgspec.Struct, frozen=True):
    """How long a store may take. `total` bounds one download as a whole, all attempts together.

    A store that sends less than `slowest` bytes in `connect_and_read` seconds is as good as stalled.
    """

    attempts: int = 5
    connect_and_read: float = 20.0
    total: float = 1800.0
    first_pause: float = 0.5
    slowest: int = 64 * 1024


def download(
    uri: str,
    *,
    target: Path,
    sha256: str,
    max_bytes: int,
    field: str = "spec.model",
    patience: Patience | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Write the artifact to `target`; `Rejected`: these bytes cannot be had; `Unavailable`: the store cannot.

    `field`: where people have said the digest.
    """
    patience = patience or Patience()
    ask = source.Ask(uri=uri, sha256=sha256, max_bytes=max_bytes, timeout=patience.connect_and_read)
    partial = target.with_name(target.name + ".partial")
    try:
        with _local(partial) as file:
            digest = _persist(_Download(ask, file, patience), sleep=sleep)
        if digest != sha256:
            raise errors.Rejected(
                "DigestMismatch",
                f"{source.redact(uri)} has sha256 {digest}, but {field}.sha256 says {sha256}: correct one of the two",
            )
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    logs.info(log, "artifact fetched", uri=source.redact(uri), sha256=digest, bytes=target.stat().st_size)


def _local(path: Path) -> io.FileIO:
    try:
        # Unbuffered: closing a buffered file on a full disk fails again, and would hide why.
        return path.open("wb", buffering=0)
    except OSError as error:
        raise errors.Unavailable(f"cannot write {path}: {error.strerror}") from error


def _persist(download: _Download, *, sleep: Callable[[float], None]) -> str:
    """Attempts until one reaches the end; the digest of what arrived."""
    patience, uri = download.patience, source.redact(download.ask.uri)
    attempt = 1
    while True:
        try:
            return download.attempt()
        except source.Transient as error:
            pause = patience.first_pause * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)  # noqa: S311
            if attempt == patience.attempts or time.monotonic() + pause > download.give_up:
                raise errors.Unavailable(
                    f"{uri}: {error} (attempt {attempt}): check that the store answers and can be reached from the pods"
                ) from error
            if error.restart:
                download.restart()
            logs.warning(log, "fetch failed, trying again", uri=uri, attempt=attempt, cause=str(error))
            sleep(pause)
            attempt += 1


class _Download:
    """What has arrived so far, across attempts."""

    def __init__(self, ask: source.Ask, file: io.FileIO, patience: Patience) -> None:
        self.ask = ask
        self.patience = patience
        self.give_up = time.monotonic() + patience.total
        self._file = file
        self._open = sources.find(ask.uri)
        self._digest = hashlib.sha256()
        self._received = 0
        self._version = ""

    def restart(self) -> None:
        """Forget what arrived."""
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.sha256()
        self._received = 0

    def attempt(self) -> str:
        """Read to the end; the digest of the whole."""
        if not self._version:
            self.restart()
        with self._open(msgspec.structs.replace(self.ask, offset=self._received, version=self._version)) as body:
            self._place(body)
            self._copy(body)
        if body.total is not None and self._received != body.total:
            raise source.Transient(f"the connection ended after {self._received} of {body.total} bytes")
        return self._digest.hexdigest()

    def _place(self, body: source.Body) -> None:
        """Line up with where the store starts, which is what was asked for or the first byte."""
        if body.total is not None and body.total > self.ask.max_bytes:
            raise self._too_big(f"has {body.total} bytes, more")
        if body.start == 0:
            self.restart()
        elif body.start != self._received:
            raise source.Transient(f"the store went on at byte {body.start}, not {self._received}", restart=True)
        self._version = body.version

    def _copy(self, body: source.Body) -> None:
        pace = _Pace(self.patience)
        for chunk in body.chunks:
            self._received += len(chunk)
            if self._received > self.ask.max_bytes:
                raise self._too_big("is larger")
            if time.monotonic() > self.give_up:
                raise errors.Unavailable(
                    f"{source.redact(self.ask.uri)}: the download took longer than {self.patience.total:g} s: "
                    "use a store that is nearer, or a smaller artifact"
                )
            self._digest.update(chunk)
            self._write(chunk)
            pace.check(len(chunk))

    def _write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise errors.Unavailable(
                f"cannot write the artifact: {error.strerror}: give the work volume more room"
            ) from error

    def _too_big(self, words: str) -> errors.Rejected:
        return source.refused(self.ask.uri, f"it {words} than the allowed {self.ask.max_bytes} bytes")


class _Pace:
    """Tells a trickle from a download: so many bytes in each window of time."""

    def __init__(self, patience: Patience) -> None:
        self._seconds, self._least = patience.connect_and_read, patience.slowest
        self._since, self._arrived = time.monotonic(), 0

    def check(self, size: int) -> None:
        """Count what arrived; raises Transient at the end of a window with too little."""
        self._arrived += size
        now = time.monotonic()
        if now - self._since < self._seconds:
            return
        if self._arrived < self._least:
            raise source.Transient(f"only {self._arrived} bytes in {now - self._since:.0f} s, the store is too slow")
        self._since, self._arrived = now, 0
