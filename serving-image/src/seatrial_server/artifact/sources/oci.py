"""oci://registry/repository@sha256:... or oci://registry/repository:tag: one layer of an OCI artifact.

The layer is the one whose digest is spec.model.sha256, whatever its media type (ModelPack or a plain file): so the spec
says which bytes are meant, and a tag that moved is a mismatch, never other bytes. The manifest is checked against its
digest when the address has one. Registries that redirect blobs elsewhere are followed without the credentials.
"""

from __future__ import annotations

import contextlib
import re
import urllib.error
from collections.abc import Iterator, Mapping
from http.client import HTTPResponse

import msgspec

from seatrial_server.artifact.sources import addresses, oci_auth, oci_manifest, source, web

_PART = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"  # so there is no ".." between slashes
_ADDRESS = re.compile(
    r"oci://(?P<host>(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?)"
    rf"/(?P<repository>{_PART}(?:/{_PART})*)"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))"
)


class Registry(msgspec.Struct, frozen=True, kw_only=True):
    """One repository of a registry, and the words for errors about it."""

    uri: str
    base: str
    repository: str
    timeout: float

    def get(self, path: str, *, headers: Mapping[str, str], login: oci_auth.Login) -> HTTPResponse:
        """GET below the repository, logging in when the registry asks for it."""
        url = f"{self.base}/v2/{self.repository}/{path}"
        try:
            return web.get(url, timeout=self.timeout, headers=headers, secret=login.headers)
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 401 or not login.answer(error.headers.get_all("WWW-Authenticate") or []):
                    raise web.refusal(self.uri, error.code, oci_auth.SETTINGS) from None
        try:
            return web.get(url, timeout=self.timeout, headers=headers, secret=login.headers)
        except urllib.error.HTTPError as error:
            with error:
                raise web.refusal(self.uri, error.code, oci_auth.SETTINGS) from None


@contextlib.contextmanager
def open_artifact(ask: source.Ask) -> Iterator[source.Body]:
    """Manifest first, then the layer. A layer never changes, so its digest is the version that allows resuming."""
    address = _ADDRESS.fullmatch(ask.uri)
    if address is None:
        raise source.refused(
            ask.uri, "spec.model.uri must be oci://registry/repository@sha256:<64 hex digits> or :<tag>"
        )
    registry = Registry(uri=ask.uri, base=_base(address["host"]), repository=address["repository"], timeout=ask.timeout)
    login = oci_auth.Login(registry.uri, base=registry.base, repository=registry.repository, timeout=ask.timeout)
    reference = address["digest"] or address["tag"]
    with registry.get(f"manifests/{reference}", headers={"Accept": oci_manifest.ACCEPTED}, login=login) as response:
        document = oci_manifest.read(response, uri=ask.uri, timeout=ask.timeout)
    layer = oci_manifest.choose(document, uri=ask.uri, digest=address["digest"], sha256=ask.sha256)
    if layer.size > ask.max_bytes:
        raise source.refused(ask.uri, f"it has {layer.size} bytes, more than the allowed {ask.max_bytes} bytes")
    headers = {"Range": f"bytes={ask.offset}-"} if ask.offset else {}
    with registry.get(f"blobs/{layer.digest}", headers=headers, login=login) as response:
        body = web.body(response, timeout=ask.timeout)
        if body.total not in (None, layer.size):
            raise source.Transient(f"the layer has {body.total} bytes, its manifest says {layer.size}", restart=True)
        yield msgspec.structs.replace(body, total=layer.size, version=layer.digest)


def _base(host: str) -> str:
    plain = addresses.is_loopback(f"http://{host}") or addresses.switched_on("OCI_ALLOW_HTTP")
    return f"{'http' if plain else 'https'}://{host}"
