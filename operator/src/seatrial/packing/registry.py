"""A package as one layer of an OCI artifact (ModelPack's media types), pushed to a registry by its HTTP interface.

Logs in as the cluster does: OCI_USERNAME and OCI_PASSWORD, or OCI_TOKEN. Passwords go over https, to loopback, or where
OCI_ALLOW_HTTP says so. The manifest has no dates, so that the same package has the same address.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Any

import msgspec

from seatrial.packing import errors, transport

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_ARTIFACT = "application/vnd.cncf.model.manifest.v1+json"
_CONFIG = "application/vnd.cncf.model.config.v1+json"
_LAYER = "application/vnd.cncf.model.weight.v1.tar+gzip"
_TITLE = "org.opencontainers.image.title"
_PART = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
_ADDRESS = re.compile(
    rf"oci://(?P<host>[A-Za-z0-9.-]+(?::[0-9]{{1,5}})?)/(?P<repository>{_PART}(?:/{_PART})*):(?P<tag>\w[\w.-]{{0,127}})"
)
_PARAMETER = re.compile(r'([a-z_]+)="([^"]*)"', re.IGNORECASE)
_SECONDS = 60
_MOST = 64 * 1024


class Address(msgspec.Struct, frozen=True):
    """Where to push."""

    host: str
    repository: str
    tag: str

    @property
    def base(self) -> str:
        """Plain http only where it is no risk, or wanted."""
        plain = transport.may_be_plain(f"http://{self.host}", switch="OCI_ALLOW_HTTP")
        return f"{'http' if plain else 'https'}://{self.host}"


def parse(uri: str) -> Address:
    """The address of --push oci://...

    Raises:
        BadInput: says which form it must have.
    """
    found = _ADDRESS.fullmatch(uri)
    if found is None:
        raise errors.BadInput(f"--push must be oci://registry/repository:tag, not {uri!r}")
    return Address(**found.groupdict())


def push(package: Path, uri: str) -> str:
    """The address with the manifest's digest.

    Raises:
        CannotPush: the registry refuses or can't be reached.
    """
    address = parse(uri)
    try:
        return _Session(address).push(package)
    except urllib.error.HTTPError as error:
        with error:
            raise errors.CannotPush(
                f"{uri}: the registry answered {error.code} {error.reason}: check the repository, and the variables "
                f"OCI_USERNAME and OCI_PASSWORD, or OCI_TOKEN; the package is kept in {package}"
            ) from None
    except (OSError, http.client.HTTPException) as error:
        raise errors.CannotPush(
            f"{uri}: {error}: check that the registry answers; the package is kept in {package}"
        ) from error


class _Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the bytes are, their digest and size."""

    media_type: str
    digest: str
    size: int
    annotations: dict[str, str] = {}


class _Session:
    """One push, with the login that the registry asked for."""

    def __init__(self, address: Address) -> None:
        self._address = address
        token = os.environ.get("OCI_TOKEN", "")
        self._login = f"Bearer {token}" if token else ""

    def push(self, package: Path) -> str:
        with package.open("rb") as file:
            layer = _Descriptor(_LAYER, _digest(file), package.stat().st_size, {_TITLE: package.name})
            self._upload(layer.digest, layer.size, file)
        empty = b"{}"
        config = _Descriptor(_CONFIG, f"sha256:{hashlib.sha256(empty).hexdigest()}", len(empty))
        self._upload(config.digest, config.size, empty)
        manifest = msgspec.json.encode(
            {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": _ARTIFACT, "config": config, "layers": [layer]}
        )
        self._send("PUT", f"manifests/{self._address.tag}", manifest, len(manifest), kind=MANIFEST).close()
        digest = hashlib.sha256(manifest).hexdigest()
        return f"oci://{self._address.host}/{self._address.repository}@sha256:{digest}"

    def _upload(self, digest: str, size: int, content: IO[bytes] | bytes) -> None:
        try:
            self._send("HEAD", f"blobs/{digest}", None, 0).close()
            return
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 404:
                    raise
        with self._send("POST", "blobs/uploads/", b"", 0) as begun:
            location = urllib.parse.urljoin(begun.url, begun.headers["Location"])
        join = "&" if "?" in location else "?"
        if not isinstance(content, bytes):
            content.seek(0)
        self._send("PUT", f"{location}{join}digest={digest}", content, size).close()

    def _send(
        self,
        method: str,
        path: str,
        content: IO[bytes] | bytes | None,
        size: int,
        *,
        kind: str = "application/octet-stream",
    ) -> Any:
        """One request, again with a login when the registry asks for one; only uploads' first requests have none."""
        url = path if "://" in path else f"{self._address.base}/v2/{self._address.repository}/{path}"
        try:
            return self._once(method, url, content, size, kind=kind)
        except urllib.error.HTTPError as error:
            with error:
                if (
                    error.code != 401
                    or self._login
                    or not self._answer(error.headers.get_all("WWW-Authenticate") or [])
                ):
                    raise
        return self._once(method, url, content, size, kind=kind)

    def _once(self, method: str, url: str, content: IO[bytes] | bytes | None, size: int, *, kind: str) -> Any:
        headers = {} if content is None else {"Content-Type": kind, "Content-Length": str(size)}
        request = urllib.request.Request(url, data=content, method=method, headers=headers)  # noqa: S310  # base has chosen
        same = urllib.parse.urlsplit(url).netloc == self._address.host
        if self._login and same:  # uploads may go elsewhere, the login may not
            request.add_unredirected_header("Authorization", self._login)
        return urllib.request.urlopen(request, timeout=_SECONDS)  # noqa: S310  # as above

    def _answer(self, challenges: list[str]) -> bool:
        user, password = os.environ.get("OCI_USERNAME", ""), os.environ.get("OCI_PASSWORD", "")
        basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
        for challenge in challenges:
            scheme, _, rest = challenge.partition(" ")
            told = {name.lower(): value for name, value in _PARAMETER.findall(rest)}
            if scheme.lower() == "bearer" and "realm" in told:
                self._login = f"Bearer {self._token(told, basic)}"
            elif scheme.lower() == "basic":
                self._login = basic
            if self._login:
                return True
        return False

    def _token(self, told: dict[str, str], basic: str) -> str:
        realm = told["realm"]
        if not realm.startswith("https://") and not self._address.base.startswith("http://"):
            raise errors.CannotPush("the registry sends logins to an address without https: refused")
        query = {"scope": f"repository:{self._address.repository}:pull,push", "service": told.get("service", "")}
        url = f"{realm}{'&' if '?' in realm else '?'}{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, headers={"Authorization": basic} if basic else {})  # noqa: S310  # as above
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310  # as above
            answer = msgspec.json.decode(response.read(_MOST), type=dict[str, Any])
        return str(answer.get("token") or answer.get("access_token") or "")


def _digest(file: IO[bytes]) -> str:
    return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"  # type: ignore[arg-type]  # any readable file
