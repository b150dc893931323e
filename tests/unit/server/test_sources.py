"""What is printed of an address, and which hosts may be spoken to without TLS."""

from __future__ import annotations

import pytest

from seatrial_server.artifact import sources
from seatrial_server.artifact.sources import addresses, source
from seatrial_server.host import errors


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://user:secret@host:8443/a/b?X-Amz-Signature=secret#secret", "https://host:8443/a/b"),
        ("s3://bucket/a key", "s3://bucket/a key"),
        ("oci://host/repo@sha256:ab", "oci://host/repo@sha256:ab"),
        ("pvc://claim/path", "pvc://claim/path"),
    ],
)
def test_an_address_is_shown_without_its_secrets(uri: str, shown: str) -> None:
    assert source.redact(uri) == shown


def test_a_librarys_message_is_shown_without_the_secrets_of_its_addresses() -> None:
    text = "GET https://user:secret@host/a?sig=secret in 3 ms, then <http://other/b?token=secret>"
    assert source.scrub(text) == "GET https://host/a in 3 ms, then <http://other/b>"
    assert "secret" not in str(source.Transient(text))


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:9000", True),
        ("http://127.8.9.1", True),
        ("http://[::1]:5000/x", True),
        ("http://10.0.0.1", False),
        ("http://0.0.0.0", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://127.0.0.1@example.com", False),
        ("", False),
    ],
)
def test_loopback_is_told_from_the_address_alone(url: str, loopback: bool) -> None:
    assert addresses.is_loopback(url) is loopback


@pytest.mark.parametrize(("value", "on"), [("true", True), ("1", True), ("TRUE", True), ("false", False), ("", False)])
def test_a_switch_is_on_when_it_says_so(monkeypatch: pytest.MonkeyPatch, value: str, on: bool) -> None:
    monkeypatch.setenv("OCI_ALLOW_HTTP", value)
    assert addresses.switched_on("OCI_ALLOW_HTTP") is on


@pytest.mark.parametrize("uri", ["file:///etc/passwd", "model.onnx", "ftp://host/x", "memory:///x", "S3//x"])
def test_an_unknown_scheme_is_refused_with_those_known(uri: str) -> None:
    with pytest.raises(errors.Rejected, match=r"must start with one of http://, https://, s3://, .* pvc://"):
        sources.find(uri)
