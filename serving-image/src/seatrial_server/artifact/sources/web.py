"""http:// and https://: the standard library's client with bounded redirects. `oci` speaks HTTP through it as well.

Redirects never leave HTTP, never go from https to http, and lose the credentials on their way. Neither they nor the
URI lead to link-local and metadata addresses, nor to this machine unless the URI itself names it.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import IO, Any

from seatrial_server.artifact.sources import addresses, source

_CHUNK = 1024 * 1024
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_MAX_REDIRECTS = 5
_SAFE = "/%:@!$&'()*+,;=~-._"


@contextlib.contextmanager
def open_artifact(ask: source.Ask) -> Iterator[source.Body]:
    """One GET, from `ask.offset` on when the server still has the same version."""
    parts = urllib.parse.urlsplit(ask.uri)
    if not parts.hostname:
        raise source.refused(ask.uri, "spec.model.uri must start with http:// or https:// and a host")
    credentials, _, host = parts.netloc.rpartition("@")
    path = urllib.parse.quote(parts.path, safe=_SAFE)
    secret = {"Authorization": _basic(urllib.parse.unquote(credentials))} if credentials else {}
    url = urllib.parse.urlunsplit((parts.scheme, host, path, parts.query, ""))
    try:
        response = get(url, timeout=ask.timeout, headers=resuming(ask), secret=secret)
    except urllib.error.HTTPError as error:
        with error:
            raise refusal(ask.uri, error.code, "the user and password of spec.model.uri") from None
    with response:
        yield body(response, timeout=ask.timeout)


def get(url: str, *, timeout: float, headers: Mapping[str, str], secret: Mapping[str, str]) -> http.client.HTTPResponse:
    """A successful answer to GET; `secret` headers go to this host only. Raises Transient and urllib's HTTPError."""
    # Lower case "identity": a compressed transfer would be hashed compressed.
    plain = {"Accept-Encoding": "identity", "User-Agent": "seatrial-server", **headers}
    request = urllib.request.Request(url, headers=plain)  # noqa: S310
    for name, value in secret.items():
        request.add_unredirected_header(name, value)
    try:
        response: http.client.HTTPResponse = _opener(loopback=addresses.is_loopback(url)).open(request, timeout=timeout)
    except addresses.Forbidden as error:
        raise source.refused(url, f"{error}: nothing is fetched from there") from None
    except urllib.error.HTTPError as error:
        if error.code not in _RETRIED and error.code != 416:
            raise
        error.close()
        if error.code == 416:  # shorter than what arrived before: not the same artifact any more
            raise source.Transient("the artifact changed while it was read", restart=True) from None
        raise source.Transient(f"the store answered {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _transient(error, timeout) from error
    return response


def refusal(uri: str, status: int, settings: str) -> Exception:
    """The verdict for a final status; `settings` says where the credentials are."""
    if status in (401, 403):
        return source.refused(uri, f"the store answered {status}: {source.denied(settings)}")
    if status in (404, 410):
        return source.refused(uri, f"the store answered {status}, nothing is there: check spec.model.uri")
    if 300 <= status < 400:
        return source.refused(
            uri, f"the store answered {status} after {_MAX_REDIRECTS} redirects or to nowhere: check spec.model.uri"
        )
    return source.refused(uri, f"the store answered {status}: check spec.model.uri")


def resuming(ask: source.Ask) -> dict[str, str]:
    """Headers that ask for the rest of the same version."""
    return {"Range": f"bytes={ask.offset}-", "If-Range": ask.version} if ask.offset and ask.version else {}


def body(response: http.client.HTTPResponse, *, timeout: float) -> source.Body:
    """The answer as a stream; 206 says itself where it starts."""
    length = response.headers.get("Content-Length", "")
    left = int(length) if length.isdecimal() else None
    start, total = 0, left
    if response.status == 206:
        given = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if given is None:
            raise source.Transient("the store answered with a range that is none", restart=True)
        start, total = int(given[1]), int(given[2])
    etag = response.headers.get("ETag", "")
    version = etag if etag.startswith('"') else ""  # a weak one says nothing about single bytes
    return source.Body(chunks=_chunks(response, left, timeout), start=start, total=total, version=version)


def _chunks(response: http.client.HTTPResponse, left: int | None, timeout: float) -> Iterator[bytes]:
    while left is None or left > 0:
        try:
            # Whatever has arrived: waiting for a full chunk would let a trickle escape the deadline.
            chunk = response.read1(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _transient(error, timeout) from error
        if not chunk:
            return
        left = None if left is None else left - len(chunk)
        yield chunk


def _transient(error: Exception, timeout: float) -> source.Transient:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return source.Transient(f"no data for {timeout:g} s")
    return source.Transient(f"{type(cause).__name__}: {cause}")


def _basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


class _BoundedRedirects(urllib.request.HTTPRedirectHandler):
    max_redirections = _MAX_REDIRECTS
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
            fp.close()
            raise source.refused(req.full_url, f"it redirects to {scheme}://, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Plain(urllib.request.HTTPHandler):
    """Connects where `addresses` allows it, on every redirect anew."""

    def __init__(self, *, loopback: bool) -> None:
        super().__init__()
        self._loopback = loopback

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """See urllib."""
        return self.do_open(_connecting(http.client.HTTPConnection, loopback=self._loopback), req)


class _Encrypted(urllib.request.HTTPSHandler):
    """The same for https."""

    def __init__(self, *, loopback: bool) -> None:
        super().__init__()
        self._loopback = loopback

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """See urllib."""
        context = ssl.create_default_context()
        return self.do_open(_connecting(http.client.HTTPSConnection, loopback=self._loopback, context=context), req)


def _connecting(kind: Any, *, loopback: bool, **fixed: Any) -> Any:
    """Makes connections that look at the address first. A proxy is the cluster's choice, and does that itself."""
    proxies = {urllib.parse.urlsplit(url).hostname for url in urllib.request.getproxies().values()}

    def make(host: str, **more: Any) -> http.client.HTTPConnection:
        made: Any = kind(host, **fixed, **more)
        if made.host not in proxies:
            made._create_connection = functools.partial(addresses.connect, loopback=loopback)
        connection: http.client.HTTPConnection = made
        return connection

    return make


def _opener(*, loopback: bool) -> urllib.request.OpenerDirector:
    """Only HTTP: urllib's default opener would follow file:// and ftp:// as well."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _Plain(loopback=loopback),
        _Encrypted(loopback=loopback),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _BoundedRedirects(),
    ):
        opener.add_handler(handler)
    return opener
