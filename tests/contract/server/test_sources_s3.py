"""Artifacts from a real S3 server."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import obstore
import pytest
from obstore import store
from tests.cluster.harness import binaries, ports
from tests.contract.server import stores
from tests.contract.server.stores import CONTENT, DIGEST, download

from seatrial_server.artifact.sources import object_store, source
from seatrial_server.host import errors

KEY, SECRET = "harbour", "not-to-be-seen"

pytestmark = pytest.mark.timeout(900)  # the first run builds the server


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("s3")
    for name in ("objects/bucket/models", "sidecar"):
        (folder / name).mkdir(parents=True)
    (folder / "objects" / "bucket" / "models" / "big file%20.onnx").write_bytes(CONTENT)
    port = ports.free_port()
    arguments = ["--port", f"127.0.0.1:{port}", "--quiet", "posix", "--sidecar", str(folder / "sidecar"), "objects"]
    login = {"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}
    with stores.running(binaries.S3_SERVER, *arguments, folder=folder, port=port, **login):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(autouse=True)
def credentials(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.clean_environment(monkeypatch)
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket() -> store.S3Store:
    return store.S3Store("bucket", client_options={"allow_http": True})


def test_an_object_arrives_and_nothing_secret_is_logged(
    bucket: store.S3Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    obstore.put(bucket, "churn/7.onnx", CONTENT)
    with caplog.at_level(logging.DEBUG):
        assert download("s3://bucket/churn/7.onnx", tmp_path) == CONTENT
    assert SECRET not in " ".join(str(record.__dict__) for record in caplog.records)


def test_a_key_is_taken_as_it_is_written(tmp_path: Path) -> None:
    assert download("s3://bucket/models/big file%20.onnx", tmp_path) == CONTENT


def test_a_large_object_arrives_in_pieces(bucket: store.S3Store, tmp_path: Path) -> None:
    content = bytes(range(256)) * 100_000
    obstore.put(bucket, "large.onnx", content)
    digest = hashlib.sha256(content).hexdigest()
    assert download("s3://bucket/large.onnx", tmp_path, sha256=digest, max_bytes=len(content)) == content


def test_other_bytes_fail_closed(bucket: store.S3Store, tmp_path: Path) -> None:
    obstore.put(bucket, "changed.onnx", b"other bytes")
    with pytest.raises(errors.Rejected, match=f"spec.model.sha256 says {DIGEST}") as caught:
        download("s3://bucket/changed.onnx", tmp_path)
    assert caught.value.reason == "DigestMismatch"


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("s3://bucket/missing.onnx", r"no such bucket or object \(NoSuchKey\): check both in spec.model.uri"),
        ("s3://nowhere/model.onnx", r"no such bucket or object \(NoSuchBucket\): check both in spec.model.uri"),
        ("s3://bucket/models/big file%20.onnx", "it has 5000 bytes, more than the allowed 4999 bytes"),
        ("s3://bucket", "spec.model.uri must be s3://bucket/path"),
        ("s3://bucket/a//b", "check spec.model.uri"),
    ],
    ids=["key", "bucket", "size", "no key", "bad key"],
)
def test_what_cannot_be_had_is_refused_with_its_remedy(tmp_path: Path, uri: str, words: str) -> None:
    with pytest.raises(errors.Rejected, match=words) as caught:
        download(uri, tmp_path, max_bytes=4999)
    assert caught.value.reason == "FetchRefused"


@pytest.mark.parametrize(
    ("name", "code"), [("AWS_ACCESS_KEY_ID", "XAdminUserNotFound"), ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch")]
)
def test_wrong_credentials_are_refused_by_name_and_never_by_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str
) -> None:
    monkeypatch.setenv(name, "wrong-value")
    with pytest.raises(errors.Rejected, match=rf"{code}: the credentials do not allow .* {name}") as caught:
        download("s3://bucket/models/big file%20.onnx", tmp_path)
    assert "wrong-value" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_anonymous_access_is_a_switch_and_refused_for_what_is_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    with pytest.raises(errors.Rejected, match="AccessDenied: the credentials do not allow"):
        download("s3://bucket/models/big file%20.onnx", tmp_path)


def test_plain_http_is_for_loopback_unless_allowed(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.0.0.0 leads to this machine too, but is not written as a loopback address."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint.replace("127.0.0.1", "0.0.0.0"))
    with pytest.raises(errors.Rejected, match=r"plain http needs AWS_ALLOW_HTTP=true beside AWS_ENDPOINT_URL"):
        download("s3://bucket/models/big file%20.onnx", tmp_path)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    assert download("s3://bucket/models/big file%20.onnx", tmp_path) == CONTENT


def test_a_store_that_is_not_there_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(errors.Unavailable, match=r"\(attempt 3\): check that the store answers"):
        download("s3://bucket/model.onnx", tmp_path)


def test_an_object_replaced_between_two_attempts_is_read_from_its_start(bucket: store.S3Store, tmp_path: Path) -> None:
    """If-Match of the former version fails, and the bytes of two versions are never mixed."""
    first = obstore.put(bucket, "moving.onnx", b"x" * 5000)["e_tag"]
    obstore.put(bucket, "moving.onnx", CONTENT)
    ask = source.Ask(uri="s3://bucket/moving.onnx", sha256=DIGEST, max_bytes=10_000, timeout=60)
    stale = msgspec.structs.replace(ask, offset=100, version=first or "")
    with (
        pytest.raises(source.Transient, match="changed while it was read") as caught,
        object_store.open_artifact(stale),
    ):
        pass
    assert caught.value.restart
    with object_store.open_artifact(ask) as body:
        version = body.version
    rest = msgspec.structs.replace(ask, offset=100, version=version)
    with object_store.open_artifact(rest) as body:
        assert (body.start, body.total, b"".join(body.chunks)) == (100, 5000, CONTENT[100:])


def test_the_fetch_command_ends_with_one_line_whatever_happened(tmp_path: Path) -> None:
    """As in a pod: credentials in the environment, everything else in config.json."""
    for uri, code, words in (
        ("s3://bucket/models/big file%20.onnx", 0, ""),
        (
            "s3://nowhere/model.onnx",
            1,
            "s3://nowhere/model.onnx: the store has no such bucket or object (NoSuchBucket)",
        ),
    ):
        config = {"model": {"name": "churn", "version": "7", "uri": uri, "sha256": DIGEST}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        command = [sys.executable, "-m", "seatrial_server", "fetch", "--config", tmp_path / "config.json"]
        environment = {**os.environ, "SEATRIAL_TERMINATION_LOG": str(tmp_path / "termination")}
        finished = subprocess.run(
            [*command, "--work", tmp_path / "work"], capture_output=True, text=True, env=environment, timeout=240
        )
        assert finished.returncode == code, finished.stderr
        told = [line for line in finished.stderr.splitlines() if not line.startswith("{")]  # beside the log
        assert len(told) == code
        assert words in "".join(told)
        assert SECRET not in finished.stdout + finished.stderr
    assert words in json.loads((tmp_path / "termination").read_text())["error"]
