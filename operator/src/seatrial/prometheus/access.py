"""Which Prometheus may be asked for an object, and with whose credentials. Pure.

The URL of an object comes from a user of the cluster, the request from the operator, which reaches more than that user
does. So a URL is a scheme, a host and a path and nothing else, and its host is one that the operator's settings allow:
the operator's own Prometheus, what `--prometheus-allow` names, and Services of the object's own namespace. Two names
are not enough for such a Service (`prometheus.shop`): outside the cluster they may be somebody's domain.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable

import msgspec

from seatrial.prometheus import errors

FIELD = "spec.analysis.prometheus.url"
SETTING = "--prometheus-allow"
_CLUSTER_DOMAINS = (".svc", ".svc.cluster.local")
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9]([-a-z0-9_.]*[a-z0-9])?|[0-9a-f:.]+")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A URL taken apart and put into one spelling."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """Scheme, host and port, as messages and limits name it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        shown = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{shown}"

    @property
    def url(self) -> str:
        return self.origin + self.path


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the allow-list: a URL prefix, or a host (`*.` for every name below) with or without a port."""

    host: str
    scheme: str | None = None
    port: int | None = None
    path: str = ""

    def covers(self, place: Place) -> bool:
        below = self.host.startswith("*.") and place.host.endswith(self.host[1:])
        if not below and place.host != self.host:
            return False
        if self.scheme not in (None, place.scheme) or self.port not in (None, place.port):
            return False
        return place.path == self.path or place.path.startswith(f"{self.path}/")


def place(url: str, *, field: str = FIELD) -> Place:
    """A URL as it may be asked.

    Raises:
        PrometheusRefused: it isn't one, or holds more than scheme, host and path; names the field.
    """
    if "?" in url or "#" in url:
        raise errors.PrometheusRefused(f"{field} must have no ? and no #: it is the base URL, the query is added to it")
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        host, port, parts = "", None, urllib.parse.SplitResult("", "", "", "", "")
    if parts.scheme not in _PORTS or not _HOST.fullmatch(host) or re.search(r"[\s\\]", url):
        raise errors.PrometheusRefused(f"{field} must be like http://prometheus:9090")
    if "@" in parts.netloc:
        raise errors.PrometheusRefused(
            f"{field} must hold no user and password: put them into a Secret and name it in "
            "spec.analysis.prometheus.secretRef"
        )
    if "%" in parts.path or any(part in (".", "..") for part in parts.path.split("/")):
        raise errors.PrometheusRefused(f"{field} must have a path without %, . and ..")
    port = _PORTS[parts.scheme] if port is None else port
    return Place(scheme=parts.scheme, host=host, port=port, path=parts.path.rstrip("/"))


def allowed(entry: str) -> Allowed:
    """An entry of the allow-list. Raises ValueError with what is wrong with it."""
    if "://" in entry:
        try:
            one = place(entry.replace("://*.", "://any."), field=entry)
        except errors.PrometheusRefused as error:
            raise ValueError(str(error)) from error
        host = f"*.{one.host.removeprefix('any.')}" if "://*." in entry else one.host
        return Allowed(scheme=one.scheme, host=host, port=one.port, path=one.path)
    host, separator, port = entry.rpartition(":") if re.search(r":[0-9]+$", entry) else (entry, "", "")
    bare = host.removeprefix("*.").strip("[]")
    if not _HOST.fullmatch(bare):
        raise ValueError(
            f"{entry!r} is neither a URL like https://prometheus:9090/path nor a host like *.monitoring.svc"
        )
    return Allowed(host=f"*.{bare}" if host.startswith("*.") else bare, port=int(port) if separator else None)


def held(url: str, *, namespace: str, allow: Iterable[Allowed]) -> Place:
    """The place of an object's own URL.

    Raises:
        PrometheusRefused: the URL is malformed, or its host is not one that objects of this namespace may name.
    """
    asked = place(url)
    own = tuple(f".{namespace}{domain}" for domain in _CLUSTER_DOMAINS)
    if asked.host.endswith(own) or any(entry.covers(asked) for entry in allow):
        return asked
    raise errors.PrometheusRefused(
        f"{FIELD} names {asked.host}, which is neither a Service of this namespace (NAME.{namespace}.svc) nor allowed "
        f"by the operator's {SETTING}"
    )
