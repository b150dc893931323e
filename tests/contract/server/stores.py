"""Real stores on loopback: an S3 server and an OCI registry, built from their Go modules and cached like the cluster's
programs; and the download that the tests ask them for.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.harness import binaries

from seatrial_server.artifact import fetch
from seatrial_server.host import errors

CONTENT = b"model" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
QUICK = fetch.Patience(attempts=3, connect_and_read=60, total=120, first_pause=0.001, slowest=1)
DEADLINE = 90.0


def download(
    uri: str,
    folder: Path,
    *,
    sha256: str = DIGEST,
    max_bytes: int = 100_000,
    patience: fetch.Patience = QUICK,
) -> bytes:
    """What arrived. The folder is as empty as before when nothing did."""
    target = folder / "artifact"
    try:
        fetch.download(uri, target=target, sha256=sha256, max_bytes=max_bytes, patience=patience, sleep=lambda _: None)
    except errors.ServerError:
        assert not list(folder.glob("artifact*"))
        raise
    return target.read_bytes()


@contextlib.contextmanager
def running(
    program: binaries.Program,
    *arguments: str,
    folder: Path,
    port: int,
    address: str = "127.0.0.1",
    **environment: str,
) -> Iterator[None]:
    """The program until the end of the block, answering on the port."""
    binaries.ensure(program, say=print)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program.path(), *arguments], stdout=log, stderr=log, cwd=folder, env={**os.environ, **environment}
        )
    try:
        _wait(process, (address, port), folder / "log")
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def answering(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """An HTTP server in this process, for behaviour that no real one shows on demand."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's real credentials, and no proxy, take part."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_", "OCI_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def _wait(process: subprocess.Popen[bytes], place: tuple[str, int], log: Path) -> None:
    give_up = time.monotonic() + DEADLINE
    while time.monotonic() < give_up and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(place, timeout=1):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    raise AssertionError(f"it does not answer on port {place[1]}:\n{log.read_text()}")
