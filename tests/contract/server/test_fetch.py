"""Fetching from a real HTTP server that misbehaves in every way we know."""

from __future__ import annotations

import base64
import hashlib
import http.server
import logging
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from seatrial_server.artifact import fetch
from seatrial_server.host import errors

CONTENT = b"model" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
QUICK = fetch.Patience(attempts=3, connect_and_read=60, total=120, first_pause=0.001)


class Store(http.server.BaseHTTPRequestHandler):
    """Each path is one behaviour; `seen` are the requests so far."""

    seen: list[tuple[str, str | None]] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Authorization"]))
        getattr(self, self.path.partition("?")[0].strip("/").replace("-", "_"))()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def ok(self) -> None:
        self._send(CONTENT)

    def private(self) -> None:
        expected = "Basic " + base64.b64encode(b"user:secret").decode()
        if self.headers["Authorization"] == expected:
            self._redirect("/ok")
        else:
            self._send(b"", status=401)

    def missing(self) -> None:
        self._send(b"", status=404)

    def flaky(self) -> None:
        if sum(path == "/flaky" for path, _ in self.seen) < 3:
            self._send(b"", status=503)
        else:
            self._send(CONTENT)

    def down(self) -> None:
        self._send(b"", status=503)

    def truncated(self) -> None:
        self._send(CONTENT[:100], length=len(CONTENT))

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(CONTENT)
        except OSError:
            pass

    def loop(self) -> None:
        self._redirect("/loop")

    def to_file(self) -> None:
        self._redirect("file:///etc/passwd")

    def to_ftp(self) -> None:
        self._redirect("ftp://host/model.onnx")

    def _redirect(self, location: str) -> None:
        self.send_response(302)
        self.send_header("Location", location)
        self.end_headers()

    def _send(self, content: bytes, *, status: int = 200, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def store() -> Iterator[str]:
    Store.seen.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def download(uri: str, folder: Path, *, sha256: str = DIGEST, max_bytes: int = 100_000) -> None:
    fetch.download(
        uri, target=folder / "artifact", sha256=sha256, max_bytes=max_bytes, patience=QUICK, sleep=lambda _: None
    )


@pytest.mark.parametrize("path", ["ok", "flaky", "ok?token=a%20b"])
def test_the_artifact_arrives(store: str, tmp_path: Path, path: str) -> None:
    download(f"{store}/{path}", tmp_path)
    assert (tmp_path / "artifact").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "reason", "words"),
    [
        ("missing", "FetchRefused", "answered 404"),
        ("private", "FetchRefused", "answered 401"),
        ("endless", "FetchRefused", "larger than the allowed"),
        ("loop", "FetchRefused", "answered 302"),
        ("to-file", "FetchRefused", "answered 302"),
        ("to-ftp", "FetchRefused", "redirects to ftp://"),
    ],
)
def test_a_refusal_is_final_and_leaves_nothing(store: str, tmp_path: Path, path: str, reason: str, words: str) -> None:
    with pytest.raises(errors.Rejected, match=words) as caught:
        download(f"{store}/{path}", tmp_path)
    assert caught.value.reason == reason
    assert list(tmp_path.iterdir()) == []
    assert len(Store.seen) <= 6


def test_another_digest_fails_closed(store: str, tmp_path: Path) -> None:
    with pytest.raises(errors.Rejected, match=f"has sha256 {DIGEST}, but spec.model.sha256 says 000") as caught:
        download(f"{store}/ok", tmp_path, sha256="0" * 64)
    assert caught.value.reason == "DigestMismatch"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["down", "truncated"])
def test_a_store_in_trouble_is_tried_again_and_says_nothing_about_the_model(
    store: str, tmp_path: Path, path: str
) -> None:
    with pytest.raises(errors.Unavailable, match="attempt 3"):
        download(f"{store}/{path}", tmp_path)
    assert len(Store.seen) == 3


def test_a_store_that_cannot_be_reached_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match="attempt 3"):
        download("http://127.0.0.1:1/model.onnx", tmp_path)


@pytest.mark.parametrize("uri", ["file:///etc/passwd", "ftp://host/x", "model.onnx", "http:///x"])
def test_other_schemes_are_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(errors.Rejected, match=r"spec\.model\.uri must start"):
        download(uri, tmp_path)


def test_credentials_are_sent_once_and_never_logged(
    store: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        download(store.replace("://", "://user:secret@") + "/private?signature=secret", tmp_path)
    assert [bool(header) for _, header in Store.seen] == [True, False]
    logged = " ".join(str(record.__dict__) for record in caplog.records)
    assert "secret" not in logged


def test_a_full_disk_is_unavailable_and_says_so(store: str, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(errors.Unavailable, match=r"cannot write the artifact: .* give the work volume more room"):
            download(f"{store}/ok", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
