"""What no real store does on demand: cut connections, trickle, send other bytes the second time, redirect in circles.

One HTTP server in this process plays an HTTP store, S3, Google Cloud Storage, Azure and an OCI registry; the last two
clouds have no server of their own to test against, so for them this is as far as it goes: the request that obstore
sends (path, credentials) and how each failure of it reads.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from tests.contract.server import registry, stores
from tests.contract.server.stores import CONTENT, DIGEST, QUICK, download

from seatrial_server.host import errors

SECRET = "not-to-be-seen"
ETAG = '"version-1"'
SOON = msgspec.structs.replace(QUICK, connect_and_read=0.2, slowest=64 * 1024)


class Hostile(http.server.BaseHTTPRequestHandler):
    """The last part of the path is a behaviour; an OCI path behaves as its repository is called."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, dict[str, str]]]] = []
    """What the server of the test that runs was asked."""

    def do_GET(self) -> None:
        self.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.close_connection = True
        path = urllib.parse.unquote(self.path.partition("?")[0])
        if path.startswith("/v2/"):
            self._registry(*path.removeprefix("/v2/").split("/")[:3])
        else:
            self._behave(path.rsplit("/", 1)[-1], CONTENT)

    do_PUT = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _registry(self, repository: str, kind: str, _: str) -> None:
        if kind == "blobs":
            self._behave(repository, CONTENT)
        elif repository == "other-manifest":
            self._answer(200, b'{"layers": []}')
        elif repository == "huge-manifest":
            self._answer(200, b" " * (4 * 1024 * 1024 + 1))
        elif repository == "no-json":
            self._answer(200, b"<html>")
        elif repository == "harvest":
            self._answer(401, b"", **{"WWW-Authenticate": 'Bearer realm="http://collector.invalid/token"'})
        else:
            self._answer(200, manifest())

    def _behave(self, name: str, content: bytes) -> None:
        start = int((self.headers["Range"] or "bytes=0-")[6:].rstrip("-"))
        match name:
            case "cut" if start == 0:  # then goes on
                self._answer(200, content[:2000], length=len(content))
            case "changing":
                first = sum(path == self.path for path, _ in self.seen) == 1
                self._answer(200, b"x" * 2000 if first else content, length=len(content), etag=f'"{first}"')
            case "cut":
                given = f"bytes {start}-{len(content) - 1}/{len(content)}"
                self._answer(206, content[start:], **{"Content-Range": given})
            case "always-cut":
                self._answer(200, content[:2000], length=len(content))
            case "stalled":
                self._answer(200, content[:2000], length=len(content))
                with contextlib.suppress(OSError):
                    self.rfile.read(1)  # until the client has had enough, whoever is slow
            case "trickle":
                self._trickle(content)
            case "loop":
                self._answer(302, b"", Location=self.path)
            case "signed":
                self._answer(302, b"", Location=f"/missing?X-Signature={SECRET}")
            case "announced":
                self._answer(200, b"", length=10**9)
            case "endless":
                self._answer(200, content * 100, chunked=True)
            case "ok":
                self._answer(200, content)
            case "missing":
                self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            case status if status.isdecimal():
                self._answer(int(status), b"")
            case _:
                raise AssertionError(name)

    def _trickle(self, content: bytes) -> None:
        self._answer(200, b"", length=len(content))
        with contextlib.suppress(OSError):
            for byte in content:  # until the client has had enough, as above
                self.wfile.write(bytes([byte]))
                time.sleep(0.02)

    def _answer(
        self,
        status: int,
        content: bytes,
        *,
        length: int | None = None,
        etag: str = ETAG,
        chunked: bool = False,
        **more: str,
    ) -> None:
        self.send_response(status)
        size = (
            "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(content) if length is None else length}"
        )
        headers = {"ETag": etag, "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "Connection": "close", **more}
        for name, value in [size.split(": "), *headers.items()]:
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content) if chunked else content)


def manifest() -> bytes:
    return json.dumps({"layers": [registry.Layer(CONTENT).descriptor()]}).encode()


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    stores.clean_environment(monkeypatch)
    Hostile.seen = []
    # A class for each test: a request that the test before has given up may come to its server only now.
    with stores.answering(type("Hostile", (Hostile,), {"seen": Hostile.seen})) as url:
        account = {
            "gcs_base_url": url,
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "harbour",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "GOOGLE_BASE_URL": url,
            "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account),
            "AZURE_STORAGE_ACCOUNT_NAME": "harbour",
            "AZURE_STORAGE_ENDPOINT": url,
            "AZURE_STORAGE_SAS_TOKEN": f"sv=2023&sig={SECRET}",
        }.items():
            monkeypatch.setenv(name, value)
        yield url


def on_web(url: str, behaviour: str) -> str:
    return f"{url}/{behaviour}?X-Signature={SECRET}"


def on_s3(url: str, behaviour: str) -> str:
    return f"s3://bucket/models/{behaviour}"


def on_google(url: str, behaviour: str) -> str:
    return f"gs://bucket/models/{behaviour}"


def on_azure(url: str, behaviour: str) -> str:
    return f"az://container/models/{behaviour}"


def on_oci(url: str, behaviour: str) -> str:
    return f"oci://{url.removeprefix('http://')}/{behaviour}:7"


every_store = pytest.mark.parametrize("at", [on_web, on_s3, on_google, on_azure, on_oci])
Address = Callable[[str, str], str]


@every_store
def test_a_cut_connection_is_resumed_where_it_ended(url: str, tmp_path: Path, at: Address) -> None:
    assert download(at(url, "cut"), tmp_path) == CONTENT
    ranges = [headers.get("range") for path, headers in Hostile.seen if "manifests" not in path]
    assert ranges == [None, "bytes=2000-"]


@pytest.mark.parametrize("at", [on_web, on_s3, on_google, on_azure])
def test_two_versions_are_never_mixed(url: str, tmp_path: Path, at: Address) -> None:
    """The server ignores If-Match and If-Range, so the second answer comes whole and with another ETag."""
    assert download(at(url, "changing"), tmp_path) == CONTENT


@every_store
@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("always-cut", r"the connection ended|IncompleteRead"),
        ("stalled", r"no data for 0\.2 s"),
        ("trickle", r"only \d+ bytes in \d+ s, the store is too slow|no data for 0\.2 s"),  # where we are the slow ones
        ("503", "the store answered 503"),
    ],
)
def test_a_store_in_trouble_is_tried_again_in_vain(
    url: str, tmp_path: Path, at: Address, behaviour: str, words: str
) -> None:
    patience = SOON if behaviour in ("stalled", "trickle") else QUICK
    with pytest.raises(errors.Unavailable, match=rf"({words}).*\(attempt 3\): check that the store answers") as caught:
        download(at(url, behaviour), tmp_path, patience=patience)
    assert SECRET not in str(caught.value)


@every_store
@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("loop", r"after 5 redirects|redirects in circles"),
        ("missing", r"nothing is there: check spec\.model\.uri|no such .* object \(NoSuchKey\): check both"),
        ("401", r"the credentials do not allow reading it: check"),
        ("403", r"the credentials do not allow reading it: check"),
        ("400", r"the store answered 400: check"),
        ("signed", r"nothing is there|no such .* object"),
    ],
)
def test_a_refusal_is_final_and_holds_no_secret(
    url: str, tmp_path: Path, at: Address, behaviour: str, words: str
) -> None:
    with pytest.raises(errors.Rejected, match=words) as caught:
        download(at(url, behaviour), tmp_path, max_bytes=10_000)
    assert caught.value.reason == "FetchRefused"
    assert SECRET not in str(caught.value)
    assert len(Hostile.seen) <= 13


@pytest.mark.parametrize("at", [on_web, on_s3, on_google, on_azure])
def test_what_is_announced_beyond_the_bound_is_not_read(url: str, tmp_path: Path, at: Address) -> None:
    with pytest.raises(errors.Rejected, match="it has 1000000000 bytes, more than the allowed 10000 bytes"):
        download(at(url, "announced"), tmp_path, max_bytes=10_000)


def test_an_endless_answer_is_refused_at_the_bound(url: str, tmp_path: Path) -> None:
    with pytest.raises(errors.Rejected, match="larger than the allowed 10000 bytes"):
        download(on_web(url, "endless"), tmp_path, max_bytes=10_000)


def test_the_whole_download_is_bounded_in_time(url: str, tmp_path: Path) -> None:
    patience = msgspec.structs.replace(QUICK, total=0.1)
    with pytest.raises(errors.Unavailable, match=r"took longer than 0\.1 s|answers and can be reached"):
        download(on_web(url, "trickle"), tmp_path, patience=patience)


def test_each_cloud_gets_its_own_credentials(url: str, tmp_path: Path) -> None:
    for at in (on_s3, on_google, on_azure):
        assert download(at(url, "ok"), tmp_path) == CONTENT
    s3, google, azure = Hostile.seen
    assert s3[0] == "/bucket/models/ok"
    assert "Credential=harbour/" in s3[1]["authorization"]
    assert (google[0], "authorization" in google[1]) == ("/bucket/models%2Fok", False)  # the key says: no login
    assert azure[0] == f"/container/models/ok?sv=2023&sig={SECRET}"


def test_a_token_of_the_environment_goes_to_google(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_SERVICE_ACCOUNT_KEY")
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", SECRET)
    assert download(on_google(url, "ok"), tmp_path) == CONTENT
    assert Hostile.seen[0][1]["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(("at", "name"), [(on_s3, "AWS"), (on_google, "GOOGLE"), (on_azure, "AZURE")])
def test_without_credentials_it_says_which_to_set(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: Address, name: str
) -> None:
    """Nothing in the environment, and no cloud around that would lend the node's identity."""
    nowhere = "127.0.0.1:1"
    for variable in ("AWS_ACCESS_KEY_ID", "GOOGLE_SERVICE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN"):
        monkeypatch.delenv(variable)
    for variable, value in {
        "AWS_METADATA_ENDPOINT": f"http://{nowhere}",
        "GCE_METADATA_HOST": nowhere,
        "GCE_METADATA_IP": nowhere,
        "AZURE_MSI_ENDPOINT": f"http://{nowhere}/metadata/identity/oauth2/token",
        "HOME": str(tmp_path),  # no stray login of the person at this machine
    }.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(errors.Unavailable, match=f"no credentials are set and the node offers none: set {name}_"):
        download(at(url, "ok"), tmp_path)


@pytest.mark.parametrize(
    ("repository", "words"),
    [
        ("other-manifest", "the registry sent a manifest with sha256:"),
        ("huge-manifest", "its manifest is larger than 4194304 bytes"),
        ("no-json", "its manifest cannot be read|the registry sent a manifest with"),
    ],
)
def test_a_registry_that_lies_is_refused(url: str, tmp_path: Path, repository: str, words: str) -> None:
    digest = hashlib.sha256(manifest()).hexdigest()
    with pytest.raises(errors.Rejected, match=words):
        download(on_oci(url, repository).replace(":7", f"@sha256:{digest}"), tmp_path)


def test_a_password_never_goes_to_an_address_without_https(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCI_USERNAME", "porter")
    monkeypatch.setenv("OCI_PASSWORD", SECRET)
    with pytest.raises(errors.Rejected, match="sends logins to an address without https: refused"):
        download(on_oci(url, "harvest"), tmp_path)


def test_a_token_is_not_sent_along_with_a_redirect(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCI_TOKEN", SECRET)
    with pytest.raises(errors.Rejected):
        download(on_oci(url, "signed"), tmp_path)
    assert [bool(headers.get("authorization")) for _, headers in Hostile.seen] == [True, True, False]


def test_the_digest_is_of_all_bytes_of_all_attempts(url: str, tmp_path: Path) -> None:
    with pytest.raises(errors.Rejected, match=f"has sha256 {DIGEST}"):
        download(on_web(url, "cut"), tmp_path, sha256="0" * 64)
