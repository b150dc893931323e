"""The demo's model store as a process: files, nothing else, and a clean end."""

from __future__ import annotations

import http.client
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.cluster.harness import ports, waiting

STORE = pathlib.Path(__file__).resolve().parents[1] / "cluster" / "store" / "store.py"


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "digits.onnx").write_bytes(b"bytes")
    (tmp_path / "secret").write_bytes(b"outside")
    port = ports.free_port()
    process = subprocess.Popen([sys.executable, STORE, tmp_path / "models", str(port)], stderr=subprocess.DEVNULL)
    try:
        # An answer, and not a connection: the kernel takes those before the store has begun.
        waiting.until(lambda: waiting.answers(f"http://127.0.0.1:{port}/healthz"), what="the store", seconds=60)
        yield process, port
    finally:
        process.kill()
        process.wait()


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    response = connection.getresponse()
    try:
        return response.status, response.read()
    finally:
        connection.close()


def test_a_file_is_served(store):
    assert get(store[1], "/digits.onnx") == (200, b"bytes")


@pytest.mark.parametrize("path", ["/", "/absent.onnx", "/../secret", "/%2e%2e/secret"])
def test_nothing_else_is_served(store, path):
    assert get(store[1], path)[0] == 404


def test_the_probe_gets_an_answer(store):
    assert get(store[1], "/healthz") == (204, b"")


def test_sigterm_ends_it_well(store):
    process, _ = store
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
