"""Bring the artifact to disk: bounded in size, time, redirects and retries, and hashed while it streams.

Stands alone: knows neither archives nor ONNX. Nothing is left behind under the target's name unless the digest fits.
Other stores (s3, oci) become further functions beside `_stream`.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import logging
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec

from seatrial_server import errors, logs

log = logging.getLogger(__name__)
_CHUNK = 1024 * 1024
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


class Patience(msgspec.Struct, frozen=True):
    """How long a store may take. `total` bounds one download as a whole, all attempts together."""

    attempts: int = 5
    connect_and_read: float = 20.0
    total: float = 1800.0
    first_pause: float = 0.5


class _Transient(Exception):
    """A failure worth another attempt."""


def download(
    uri: str,
    *,
    target: Path,
    sha256: str,
    max_bytes: int,
    patience: Patience | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Write the artifact to `target`; `Rejected`: these bytes cannot be had; `Unavailable`: the store cannot."""
    partial = target.with_name(target.name + ".partial")
    try:
        digest = _persist(uri, partial, max_bytes=max_bytes, patience=patience or Patience(), sleep=sleep)
        if digest != sha256:
            raise errors.Rejected(
                "DigestMismatch",
                f"{redact(uri)} has sha256 {digest}, but spec.model.sha256 says {sha256}: correct one of the two",
            )
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    logs.info(log, "artifact fetched", uri=redact(uri), sha256=digest, bytes=target.stat().st_size)


def _persist(uri: str, path: Path, *, max_bytes: int, patience: Patience, sleep: Callable[[float], None]) -> str:
    """Stream with retries; the digest of what arrived."""
    give_up = time.monotonic() + patience.total
    attempt = 1
    while True:
        try:
            return _stream(uri, path, max_bytes=max_bytes, timeout=patience.connect_and_read, give_up=give_up)
        except _Transient as error:
            pause = patience.first_pause * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)  # noqa: S311
            if attempt == patience.attempts or time.monotonic() + pause > give_up:
                raise errors.Unavailable(f"{redact(uri)}: {error} (attempt {attempt})") from error
            logs.warning(log, "fetch failed, trying again", uri=redact(uri), attempt=attempt, cause=str(error))
            sleep(pause)
            attempt += 1


def redact(uri: str) -> str:
    """The address without user, password and query, which may hold secrets."""
    parts = urllib.parse.urlsplit(uri)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _stream(uri: str, path: Path, *, max_bytes: int, timeout: float, give_up: float) -> str:
    with _local(path) as file:
        return _receive(uri, file, max_bytes=max_bytes, timeout=timeout, give_up=give_up)


def _local(path: Path) -> IO[bytes]:
    try:
        return path.open("wb")
    except OSError as error:
        raise errors.Unavailable(f"cannot write {path}: {error.strerror}") from error


def _receive(uri: str, file: IO[bytes], *, max_bytes: int, timeout: float, give_up: float) -> str:
    try:
        with _opener().open(_request(uri), timeout=timeout) as response:
            expected = response.headers.get("Content-Length")
            if expected is not None and expected.isdecimal() and int(expected) > max_bytes:
                raise _too_big(uri, max_bytes)
            digest, received = _copy(response, file, uri=uri, max_bytes=max_bytes, give_up=give_up)
    except urllib.error.HTTPError as error:
        with error:
            if error.code in _RETRIED:
                raise _Transient(f"the store answered {error.code}") from error
            raise errors.Rejected(
                "FetchRefused", f"{redact(uri)}: the store answered {error.code}{_hint(error.code)}"
            ) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Transient(f"{type(error).__name__}: {error}"[:300]) from error
    if expected is not None and expected.isdecimal() and received != int(expected):
        raise _Transient(f"the connection ended after {received} of {expected} bytes")
    return digest


def _copy(source: IO[bytes], file: IO[bytes], *, uri: str, max_bytes: int, give_up: float) -> tuple[str, int]:
    digest, received = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        received += len(chunk)
        if received > max_bytes:
            raise _too_big(uri, max_bytes)
        if time.monotonic() > give_up:
            raise errors.Unavailable(f"{redact(uri)}: the download took too long")
        digest.update(chunk)
        try:
            file.write(chunk)
        except OSError as error:
            raise errors.Unavailable(f"cannot write the artifact: {error.strerror}") from error
    return digest.hexdigest(), received


def _too_big(uri: str, max_bytes: int) -> errors.Rejected:
    return errors.Rejected("FetchRefused", f"{redact(uri)} is larger than the allowed {max_bytes} bytes")


def _hint(status: int) -> str:
    if status in (401, 403):
        return ": the credentials do not allow reading it"
    return ": check spec.model.uri" if status in (404, 410) else ""


def _request(uri: str) -> urllib.request.Request:
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise errors.Rejected(
            "FetchRefused", f"spec.model.uri must start with http:// or https://, not {parts.scheme}://"
        )
    credentials, _, host = parts.netloc.rpartition("@")
    # Lower case "identity": a compressed transfer would be hashed compressed.
    request = urllib.request.Request(  # noqa: S310
        urllib.parse.urlunsplit(
            (parts.scheme, host, urllib.parse.quote(parts.path, safe="/%:@!$&'()*+,;=~-._"), parts.query, "")
        ),
        headers={"Accept-Encoding": "identity", "User-Agent": "seatrial-server"},
    )
    if credentials:
        token = base64.b64encode(urllib.parse.unquote(credentials).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return request


class _BoundedRedirects(urllib.request.HTTPRedirectHandler):
    max_redirections = 5
    max_repeats = 2

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        scheme = urllib.parse.urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.type == "https" and scheme == "http"):
            raise errors.Rejected(
                "FetchRefused", f"{redact(req.full_url)} redirects to {scheme}://, which is not followed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Only HTTP: urllib's default opener would follow file:// and ftp:// as well."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _BoundedRedirects(),
    ):
        opener.add_handler(handler)
    return opener
