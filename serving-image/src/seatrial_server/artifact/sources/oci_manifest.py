"""The manifest of an OCI artifact: read with a bound, checked against its digest, and the layer that is meant."""

from __future__ import annotations

import hashlib
from http.client import HTTPResponse

import msgspec

from seatrial_server.artifact.sources import source, web
from seatrial_server.host import errors

_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
# Indexes too: a registry would answer 404 for one, and the message would be wrong.
ACCEPTED = ", ".join((*_MANIFESTS, *_INDEXES))
_MAX_BYTES = 4 * 1024 * 1024
_UNREADABLE = ("+zstd", "+encrypted")


class Layer(msgspec.Struct, frozen=True, rename="camel"):
    """A descriptor: what the bytes are, and their digest and size."""

    media_type: str
    digest: str
    size: int


class _Manifest(msgspec.Struct, frozen=True, rename="camel"):
    layers: tuple[Layer, ...] = ()
    manifests: tuple[msgspec.Raw, ...] = ()


def read(response: HTTPResponse, *, uri: str, timeout: float) -> bytes:
    """The document's bytes, at most 4 MiB."""
    parts: list[bytes] = []
    received = 0
    for chunk in web.body(response, timeout=timeout).chunks:
        received += len(chunk)
        if received > _MAX_BYTES:
            raise source.refused(uri, f"its manifest is larger than {_MAX_BYTES} bytes")
        parts.append(chunk)
    return b"".join(parts)


def choose(document: bytes, *, uri: str, digest: str | None, sha256: str) -> Layer:
    """The layer with spec.model.sha256. `digest` is the manifest's own, when the address has one."""
    found = f"sha256:{hashlib.sha256(document).hexdigest()}"
    if digest is not None and found != digest:
        raise errors.Rejected(
            "DigestMismatch",
            f"{uri}: the registry sent a manifest with {found}: its storage is broken or tampered with",
        )
    manifest = _decode(document, uri)
    layer = next((one for one in manifest.layers if one.digest == f"sha256:{sha256}"), None)
    if layer is None:
        given = ", ".join(f"{one.digest} ({one.media_type})" for one in manifest.layers[:5])
        raise errors.Rejected(
            "DigestMismatch",
            f"{uri} has no layer with spec.model.sha256 {sha256}, it has {given}: give the digest of the model's layer",
        )
    if layer.media_type.endswith(_UNREADABLE):
        raise source.refused(uri, f"the layer is {layer.media_type}: push it as a plain file, .tar or .tar.gz instead")
    return layer


def _decode(document: bytes, uri: str) -> _Manifest:
    try:
        manifest = msgspec.json.decode(document, type=_Manifest)
    except msgspec.MsgspecError as error:
        raise source.refused(uri, f"its manifest cannot be read: {error}") from None
    if manifest.manifests:
        raise source.refused(uri, "it is an index of several manifests: give the digest of one of them")
    if not manifest.layers:
        raise source.refused(uri, "its manifest has no layers: push the model as a layer")
    return manifest
