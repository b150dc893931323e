"""What a run says at its end: one JSON object, the termination message of its Job's first container. Untrusted.

    {"uri": "oci://registry/churn:8", "sha256": "...", "version": "8",
     "data": {"uri": "...", "sha256": "...", "rows": 120000}, "code": {"uri": "...", "revision": "..."},
     "metrics": {"auc": 0.91}}
or {"skipped": "only 212 new labels"}

Read strictly: what isn't understood is refused with the name of the field, for the one who writes the training code.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from seatrial.api import spec
from seatrial.api.values import Label, decode_hook

MAX_BYTES = 4096  # a kubelet keeps no more of one container's message

Text = Annotated[str, Meta(min_length=1, max_length=2048)]
Word = Annotated[str, Meta(min_length=1, max_length=256)]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", min_length=64, max_length=64)]
Uri = Annotated[str, Meta(pattern=r"^(https?|s3|gs|az|oci|pvc)://[^\s\\]+$", max_length=1024)]


class Base(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Immutable; a field that isn't known is refused."""


class Data(Base, frozen=True, kw_only=True):
    """What it was trained on."""

    uri: Text | None = None
    sha256: Digest | None = None
    rows: Annotated[int, Meta(ge=0, le=10**15)] | None = None


class Code(Base, frozen=True, kw_only=True):
    """What trained it."""

    uri: Text | None = None
    revision: Word | None = None


class Result(Base, frozen=True, kw_only=True):
    """A version, with where it came from."""

    uri: Uri
    sha256: Digest
    version: Label
    data: Data = Data()
    code: Code = Code()
    metrics: Annotated[dict[Word, float], Meta(max_length=64)] = {}


class Skipped(Base, frozen=True, kw_only=True):
    """The run found that there is nothing to train."""

    skipped: Word


class ResultError(ValueError):
    """The run's result can't be used; the message says what is wrong with it."""


def read(message: str, wish: spec.Retraining) -> Result | Skipped:
    """The result in a termination message.

    Raises:
        ResultError: there is none, it is too long, can't be read, or is from another place than may be.
    """
    if not message.strip():
        raise ResultError("the run ended without a result: its first container must write one as termination message")
    if len(message.encode(errors="replace")) > MAX_BYTES:
        raise ResultError(f"the run's result is longer than {MAX_BYTES} bytes")
    found = _decoded(message)
    if isinstance(found, Skipped):
        return found
    if trouble := _unfit(found.uri):
        raise ResultError(f"uri {trouble}")
    if wish.uri_prefix is not None and not begins_with(found.uri, wish.uri_prefix):
        raise ResultError(f"uri must begin with spec.retraining.uriPrefix, {wish.uri_prefix}, not be {found.uri}")
    return found


def _decoded(message: str) -> Result | Skipped:
    try:
        raw = msgspec.json.decode(message, type=dict[str, msgspec.Raw])
        if raw.keys() == {"skipped"}:
            return msgspec.json.decode(message, type=Skipped)
        return msgspec.json.decode(message, type=Result, dec_hook=decode_hook)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ResultError(f"the run's result can't be read: {error}") from error


_OCI = re.compile(r"oci://[^/@]+/[^@]+(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][-A-Za-z0-9_.]*)")
_CLAIM = re.compile(r"pvc://[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/[^/].*")
_BUCKET = re.compile(r"(s3|gs|az)://[^/]+/[^/].*")
_NAMES = re.compile(r"/\.{1,2}(/|$|[?#])|%2e|%2f|%5c", re.IGNORECASE)


def _unfit(uri: str) -> str:
    """What `spec.model.uri` would be refused for, and ways out of a prefix."""
    scheme = uri.partition("://")[0]
    form = {"oci": _OCI, "pvc": _CLAIM, "s3": _BUCKET, "gs": _BUCKET, "az": _BUCKET}.get(scheme)
    if form is not None and form.fullmatch(uri) is None:
        return f"must have the form of spec.model.uri with {scheme}://, not be {uri}"
    return f"must have no . and no .. as names in it, not be {uri}" if _NAMES.search(uri) else ""


def begins_with(uri: str, prefix: str) -> bool:
    """Up to the end of a name: what begins with `oci://registry/churn` is no `oci://registry/churn-of-others`. In a
    repository's name a tag or a digest ends it; elsewhere `:` and `@` would lead to another host.
    """
    if not uri.startswith(prefix):
        return False
    ends = "/:@" if prefix.startswith("oci://") else "/"
    return prefix.endswith("/") or uri[len(prefix) : len(prefix) + 1] in tuple(ends)
