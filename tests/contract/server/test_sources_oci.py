"""Artifacts from a real OCI registry: open, with a password, with a token server, and with broken storage."""

from __future__ import annotations

import hashlib
import io
import logging
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.server import registry as registries
from tests.contract.server import stores
from tests.contract.server.registry import INDEX, PASSWORD, USER, Layer, Registry
from tests.contract.server.stores import CONTENT, DIGEST, download

from seatrial_server.artifact.sources import addresses, oci, source
from seatrial_server.host import errors

pytestmark = pytest.mark.timeout(900)  # the first run builds the registry


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    stores.clean_environment(monkeypatch)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registries.running(tmp_path_factory.mktemp("open")) as running:
        yield running


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        info = tarfile.TarInfo("model.onnx")
        info.size = len(CONTENT)
        file.addfile(info, io.BytesIO(CONTENT))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (CONTENT, "application/vnd.cncf.model.weight.v1.raw"),
        (CONTENT, "application/vnd.acme.anything"),
        (archive(), "application/vnd.cncf.model.weight.v1.tar+gzip"),
        (archive(), "application/vnd.oci.image.layer.v1.tar+gzip"),
    ],
    ids=["ModelPack", "plain", "ModelPack archive", "image layer"],
)
def test_a_layer_is_pulled_by_digest_and_by_tag(
    registry: Registry, tmp_path: Path, content: bytes, media_type: str
) -> None:
    other = Layer(b"a readme", "application/vnd.cncf.model.doc.v1.raw")
    manifest = registry.push("models/churn", other, Layer(content, media_type), tag="7")
    sha256 = hashlib.sha256(content).hexdigest()
    for reference in (f"@{manifest}", ":7"):
        assert download(f"oci://{registry.host}/models/churn{reference}", tmp_path, sha256=sha256) == content


def test_pulling_goes_on_in_the_middle_of_a_layer(registry: Registry) -> None:
    manifest = registry.push("models/churn", Layer(CONTENT))
    uri = f"oci://{registry.host}/models/churn@{manifest}"
    ask = source.Ask(uri=uri, sha256=DIGEST, max_bytes=5000, timeout=60, offset=4000, version=f"sha256:{DIGEST}")
    with oci.open_artifact(ask) as body:
        assert (body.start, body.total, b"".join(body.chunks)) == (4000, 5000, CONTENT[4000:])


def test_a_tag_that_moved_is_a_mismatch(registry: Registry, tmp_path: Path) -> None:
    registry.push("models/moved", Layer(b"another model"), tag="7")
    with pytest.raises(errors.Rejected, match=rf"no layer with spec.model.sha256 {DIGEST}, it has sha256:") as caught:
        download(f"oci://{registry.host}/models/moved:7", tmp_path)
    assert caught.value.reason == "DigestMismatch"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("models/churn:none", "answered 404, nothing is there: check spec.model.uri"),
        ("models/none:7", "answered 404, nothing is there: check spec.model.uri"),
        ("models/churn@sha256:" + "0" * 64, "answered 404, nothing is there: check spec.model.uri"),
        ("models/churn", "must be oci://registry/repository@sha256:"),
        ("models/churn@sha256:123", "must be oci://registry/repository@sha256:"),
        ("../v2/x:7", "must be oci://registry/repository@sha256:"),
    ],
)
def test_what_is_not_there_is_refused_with_its_remedy(
    registry: Registry, tmp_path: Path, path: str, words: str
) -> None:
    registry.push("models/churn", Layer(CONTENT), tag="7")
    with pytest.raises(errors.Rejected, match=words):
        download(f"oci://{registry.host}/{path}", tmp_path)


def test_a_layer_beyond_the_bound_is_refused_before_it_is_read(registry: Registry, tmp_path: Path) -> None:
    registry.push("models/churn", Layer(CONTENT), tag="big")
    with pytest.raises(errors.Rejected, match="it has 5000 bytes, more than the allowed 4999 bytes"):
        download(f"oci://{registry.host}/models/churn:big", tmp_path, max_bytes=4999)


def test_an_index_and_unreadable_layers_are_refused(registry: Registry, tmp_path: Path) -> None:
    manifest = registry.push("models/churn", Layer(CONTENT, "application/vnd.cncf.model.weight.v1.tar+zstd"))
    with pytest.raises(errors.Rejected, match=r"push it as a plain file, \.tar or \.tar\.gz"):
        download(f"oci://{registry.host}/models/churn@{manifest}", tmp_path)
    entry = {"mediaType": registries.MANIFEST, "digest": manifest, "size": 100}
    registry.put_manifest("models/churn", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}, tag="index")
    with pytest.raises(errors.Rejected, match="an index of several manifests: give the digest of one of them"):
        download(f"oci://{registry.host}/models/churn:index", tmp_path)


def test_a_layer_changed_in_the_registrys_storage_fails_closed(registry: Registry, tmp_path: Path) -> None:
    content = b"first" * 1000
    manifest = registry.push("models/churn", Layer(content))
    registry.blob(content).write_bytes(b"other" * 1000)
    with pytest.raises(errors.Rejected) as caught:
        download(f"oci://{registry.host}/models/churn@{manifest}", tmp_path, sha256=hashlib.sha256(content).hexdigest())
    assert caught.value.reason == "DigestMismatch"


def test_a_layer_truncated_in_the_registrys_storage_is_unavailable(registry: Registry, tmp_path: Path) -> None:
    content = b"whole" * 1000
    manifest = registry.push("models/churn", Layer(content))
    registry.blob(content).write_bytes(content[:100])
    uri = f"oci://{registry.host}/models/churn@{manifest}"
    with pytest.raises(errors.Unavailable, match=r"connection ended|the layer has 100 bytes"):
        download(uri, tmp_path, sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("login", [registries.with_password, registries.with_tokens], ids=["password", "token server"])
def test_a_private_artifact_needs_the_credentials_and_never_shows_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    login: object,
) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    assert callable(login)
    with caplog.at_level(logging.DEBUG), login(folder) as registry:
        registry.push("models/churn", Layer(CONTENT), tag="7")
        uri = f"oci://{registry.host}/models/churn:7"
        refusal = r"answered 401: the credentials do not allow .* OCI_USERNAME and OCI_PASSWORD"
        with pytest.raises(errors.Rejected, match=refusal):
            download(uri, tmp_path)
        monkeypatch.setenv("OCI_USERNAME", USER)
        monkeypatch.setenv("OCI_PASSWORD", "wrong-value")
        with pytest.raises(errors.Rejected, match=refusal) as caught:
            download(uri, tmp_path)
        monkeypatch.setenv("OCI_PASSWORD", PASSWORD)
        assert download(uri, tmp_path) == CONTENT
    logged = " ".join(str(record.__dict__) for record in caplog.records) + str(caught.value)
    assert PASSWORD not in logged
    assert "wrong-value" not in logged


def test_a_public_repository_of_a_registry_with_tokens_needs_no_credentials(tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    with registries.with_tokens(folder) as private:
        pushed = private.push("models/churn", Layer(CONTENT))
        # Anonymous tokens may pull public/...; the registry finds nothing there, which is not a denial.
        with pytest.raises(errors.Rejected, match="answered 404"):
            download(f"oci://{private.host}/public/churn@{pushed}", tmp_path)


def test_plain_http_is_for_loopback_unless_allowed(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.0.0.0 leads to this machine too, but is not written as a loopback address: https is spoken to it."""
    monkeypatch.setattr(addresses, "refusal", lambda *_, **__: "")  # nothing is fetched from 0.0.0.0 otherwise
    registry.push("models/churn", Layer(CONTENT), tag="plain")
    uri = f"oci://{registry.host}/models/churn:plain".replace("127.0.0.1", "0.0.0.0")
    with pytest.raises(errors.Unavailable, match=r"SSLError: .*\(attempt 3\)"):
        download(uri, tmp_path)
    monkeypatch.setenv("OCI_ALLOW_HTTP", "true")
    assert download(uri, tmp_path) == CONTENT
