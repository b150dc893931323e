"""What a Prometheus wants to see before it answers: from a Secret or from the operator's own files. No I/O but TLS
contexts, which are made of text.

Keys, in both: `token`, or `username` and `password`; `ca.crt`; `header.NAME`, such as `header.X-Scope-OrgID`.
"""

from __future__ import annotations

import base64
import functools
import re
import ssl
from collections.abc import Mapping

import msgspec

from seatrial.prometheus import errors

OPT_IN = "seatrial.dev/prometheus-credentials"
HEADER = "header."
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,8190}[\x21-\x7e])?")
# What the client itself decides; setting them would change the request, not who asks.
_OURS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "authorization"})


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Headers to send, and whom to trust. Its repr names no value."""

    headers: tuple[tuple[str, str], ...] = ()
    ca: str = ""
    verify: bool = True

    def __repr__(self) -> str:
        return f"Credentials(headers={[name for name, _ in self.headers]}, ca={bool(self.ca)}, verify={self.verify})"

    @property
    def tls(self) -> ssl.SSLContext:
        return _context(self.ca, self.verify)


NONE = Credentials()


def parse(values: Mapping[str, str], *, where: str, verify: bool = True) -> Credentials:
    """Credentials of named texts; `where` they are from is part of every message, no value ever is.

    Raises:
        PrometheusRefused: a value can't be used; says which and what it must be.
    """
    texts = {key: text.strip() for key, text in values.items()}
    headers = [_authorization(texts, where)] if {"token", "username", "password"} & texts.keys() else []
    for key, text in sorted(texts.items()):
        if not key.startswith(HEADER):
            continue
        name = key.removeprefix(HEADER)
        if not _NAME.fullmatch(name) or name.lower() in _OURS:
            raise errors.PrometheusRefused(
                f"{where}: {key} must name a header that may be set, like header.X-Scope-OrgID"
            )
        headers.append((name, _usable(text, key=key, where=where)))
    made = Credentials(headers=tuple(headers), ca=texts.get("ca.crt", ""), verify=verify)
    try:
        _ = made.tls
    except (ssl.SSLError, ValueError) as error:
        raise errors.PrometheusRefused(f"{where}: ca.crt must hold PEM certificates") from error
    return made


def of_secret(secret: Mapping[str, object] | None, *, name: str) -> Credentials:
    """Credentials in a Secret as the API server gives it.

    Raises:
        PrometheusRefused: it is missing, hasn't opted in, or can't be used.
    """
    where = f"Secret {name}"
    if secret is None:
        raise errors.PrometheusRefused(f"{where} of spec.analysis.prometheus.secretRef does not exist")
    found = msgspec.convert(secret, _Secret)
    if found.metadata.labels.get(OPT_IN) != "true":
        raise errors.PrometheusRefused(f'{where} must have the label {OPT_IN}: "true" to be read as credentials')
    try:
        texts = {key: base64.b64decode(value, validate=True).decode() for key, value in found.data.items()}
    except ValueError as error:
        raise errors.PrometheusRefused(f"{where} must hold text") from error
    return parse(texts, where=where)


class _Meta(msgspec.Struct):
    labels: dict[str, str] = {}


class _Secret(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    data: dict[str, str] = {}


def _authorization(texts: Mapping[str, str], where: str) -> tuple[str, str]:
    if "token" in texts:
        return "Authorization", f"Bearer {_usable(texts['token'], key='token', where=where)}"
    if not texts.get("username") or "password" not in texts or ":" in texts["username"]:
        raise errors.PrometheusRefused(f"{where} must hold a token, or a username (without a colon) and a password")
    pair = f"{texts['username']}:{texts['password']}".encode()
    return "Authorization", f"Basic {base64.b64encode(pair).decode()}"


def _usable(text: str, *, key: str, where: str) -> str:
    if not _VALUE.fullmatch(text):
        raise errors.PrometheusRefused(f"{where}: {key} must be one line of printable ASCII")
    return text


@functools.lru_cache(maxsize=64)
def _context(ca: str, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ca or None)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
