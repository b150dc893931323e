"""A real OCI registry on loopback, open or with one of its logins, and artifacts pushed to it by plain HTTP."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from tests.cluster.harness import binaries, ports
from tests.contract.server import stores

USER, PASSWORD = "porter", "not-to-be-seen"
_HTPASSWD = "porter:$2b$04$cZyOVCj8XpLLNq9en/GBuuY/BZJUGn5I5McF87n6FS6CaqZDSxw5q\n"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
MODEL_PACK = "application/vnd.cncf.model.weight.v1.raw"


class Layer(msgspec.Struct, frozen=True):
    """Bytes with their media type."""

    content: bytes
    media_type: str = MODEL_PACK

    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": digest(self.content), "size": len(self.content)}


class Registry(msgspec.Struct, frozen=True):
    """`host` goes into oci:// addresses; `header` is the login of the pushing side."""

    host: str
    folder: Path
    header: str = ""

    def push(self, repository: str, *layers: Layer, tag: str = "") -> str:
        """The digest of the manifest."""
        config = Layer(b"{}", "application/vnd.cncf.model.config.v1+json")
        for layer in (config, *layers):
            self._upload(repository, layer.content)
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": "application/vnd.cncf.model.manifest.v1+json",
            "config": config.descriptor(),
            "layers": [layer.descriptor() for layer in layers],
        }
        return self.put_manifest(repository, document, tag=tag)

    def put_manifest(self, repository: str, document: dict[str, Any], *, tag: str = "") -> str:
        content = json.dumps(document).encode()
        reference = tag or digest(content)
        self._send("PUT", f"/v2/{repository}/manifests/{reference}", content, document["mediaType"])
        return digest(content)

    def blob(self, content: bytes) -> Path:
        """Where the registry keeps these bytes."""
        name = hashlib.sha256(content).hexdigest()
        return self.folder / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"

    def _upload(self, repository: str, content: bytes) -> None:
        location = self._send("POST", f"/v2/{repository}/blobs/uploads/", b"")
        join = "&" if "?" in location else "?"
        self._send("PUT", f"{location}{join}digest={digest(content)}", content, "application/octet-stream")

    def _send(self, method: str, path: str, content: bytes, kind: str = "application/octet-stream") -> str:
        url = path if path.startswith("http") else f"http://{self.host}{path}"
        headers = {"Content-Type": kind, **({"Authorization": self.header} if self.header else {})}
        request = urllib.request.Request(url, data=content, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return str(response.headers["Location"])


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@contextlib.contextmanager
def running(
    folder: Path, *, auth: dict[str, Any] | None = None, header: str = "", address: str = "127.0.0.1"
) -> Iterator[Registry]:
    """The registry with file storage in the folder, at an address of this machine."""
    port = ports.free_port()
    configuration = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder)}},
        "http": {"addr": f"{address}:{port}", "secret": "of uploads"},
        **({"auth": auth} if auth else {}),
    }
    (folder / "config.yml").write_text(json.dumps(configuration))  # JSON is YAML
    quiet = {"OTEL_TRACES_EXPORTER": "none"}
    with stores.running(
        binaries.OCI_REGISTRY, "serve", "config.yml", folder=folder, port=port, address=address, **quiet
    ):
        yield Registry(host=f"{address}:{port}", folder=folder, header=header)


@contextlib.contextmanager
def with_password(folder: Path, *, address: str = "127.0.0.1") -> Iterator[Registry]:
    """Basic: the registry checks the password itself."""
    (folder / "passwords").write_text(_HTPASSWD)
    auth = {"htpasswd": {"realm": "harbour", "path": str(folder / "passwords")}}
    with running(folder, auth=auth, header=basic(), address=address) as registry:
        yield registry


@contextlib.contextmanager
def with_tokens(folder: Path) -> Iterator[Registry]:
    """Bearer: a token server checks it; the registry trusts the token server's key."""
    issuer = _Issuer()
    (folder / "keys.json").write_text(json.dumps({"keys": [issuer.public()]}))
    with issuer.serving() as realm:
        auth = {
            "token": {
                "realm": realm,
                "service": "harbour",
                "issuer": "issuer",
                "jwks": str(folder / "keys.json"),
                "signingalgorithms": ["ES256"],
            }
        }
        with running(folder, auth=auth, header=f"Bearer {issuer.token('models/churn', 'push', 'pull')}") as registry:
            yield registry


def basic() -> str:
    return "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class _Issuer:
    """A token server: everybody may pull public/..., the user what is asked for."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def public(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        point = {"x": _base64(numbers.x.to_bytes(32, "big")), "y": _base64(numbers.y.to_bytes(32, "big"))}
        return {"kty": "EC", "crv": "P-256", "kid": "one", "use": "sig", "alg": "ES256", **point}

    def token(self, repository: str, *actions: str) -> str:
        now = int(time.time())
        access = [{"type": "repository", "name": repository, "actions": list(actions)}]
        claims = {"iss": "issuer", "aud": "harbour", "sub": "", "exp": now + 300, "nbf": now - 5, "access": access}
        parts = ({"alg": "ES256", "typ": "JWT", "kid": "one"}, claims)
        signed = ".".join(_base64(json.dumps(part).encode()) for part in parts)
        r, s = utils.decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                _, repository, actions = query["scope"][0].split(":")
                given = self.headers["Authorization"]
                if given not in (None, basic()):
                    self.send_response(401)
                    self.end_headers()
                    return
                public = ("pull",) if repository.startswith("public/") else ()
                granted = tuple(actions.split(",")) if given else public
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"token": issuer.token(repository, *granted)}).encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        with stores.answering(Handler) as url:
            yield f"{url}/token"


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
