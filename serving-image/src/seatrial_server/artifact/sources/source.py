"""The protocol between `model.fetch` and the sources: an `Ask` goes in, a `Body` comes out, failures are one of three.

Transient             worth another attempt (`restart`: from the first byte)
errors.Rejected       these bytes cannot be had: missing, denied, too big, redirected in circles
errors.Unavailable    this machine cannot do it: nowhere to write, no volume mounted
"""

from __future__ import annotations

import contextlib
import re
import urllib.parse
from collections.abc import Iterator
from typing import Protocol

import msgspec

from seatrial_server.host import errors

_QUERY = re.compile(r"\?[^\s\"'<>)]+")
_USER = re.compile(r"(?<=://)[^/\s@]+@")


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What to open. `offset` and `version` are set when a former attempt got that far with that version."""

    uri: str
    sha256: str
    max_bytes: int
    timeout: float
    """Seconds to connect, and between two pieces of data."""
    offset: int = 0
    version: str = ""


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes from `start` on: the offset asked for, or 0 when the store cannot resume. `total` is of the whole artifact.

    `version` is the store's name for exactly these bytes (a strong ETag); without one there is no resuming.
    """

    chunks: Iterator[bytes]
    start: int = 0
    total: int | None = None
    version: str = ""


class Source(Protocol):
    """What each module of this package offers as `open_artifact`."""

    def __call__(self, ask: Ask) -> contextlib.AbstractContextManager[Body]:
        """Open the stream; `Body.chunks` may raise `Transient` while it is read."""
        ...


class Transient(Exception):
    """A failure worth another attempt."""

    def __init__(self, message: str, *, restart: bool = False) -> None:
        super().__init__(scrub(message)[:300])
        self.restart = restart


def refused(uri: str, message: str) -> errors.Rejected:
    """The verdict that the artifact cannot be had from there."""
    return errors.Rejected("FetchRefused", f"{redact(uri)}: {message}")


def redact(uri: str) -> str:
    """The address without user, password and query, which may hold secrets."""
    parts = urllib.parse.urlsplit(uri)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def scrub(text: str) -> str:
    """A library's message without the users and queries of the addresses in it."""
    return _USER.sub("", _QUERY.sub("", text))


def denied(settings: str) -> str:
    """The end of a message about credentials; `settings` are the names of environment variables."""
    return f"the credentials do not allow reading it: check {settings} in the Secret of spec.model.secretRef"
