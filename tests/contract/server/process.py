"""A real server process on loopback, and a bare socket to talk to it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

START, DEADLINE = 90.0, 60.0
"""Seconds until a server has started, and until anything that is asked of it: a busy machine takes its time."""


class Server:
    """`url` is the REST port, `grpc` the address of gRPC, `metrics_url` the third port, `log` its output."""

    def __init__(
        self, process: subprocess.Popen[bytes], log: Path, port: int, grpc_port: int, metrics_port: int
    ) -> None:
        self.process = process
        self.log = log
        self.port = port
        self.grpc = f"127.0.0.1:{grpc_port}"
        self.url = f"http://127.0.0.1:{port}"
        self.metrics_url = f"http://127.0.0.1:{metrics_port}"

    def infer(self, *tensors: dict[str, Any], model: str = "model", **extra: Any) -> tuple[int, Any]:
        return self.post(f"/v2/models/{model}/infer", {"inputs": list(tensors), **extra})

    def post(self, path: str, document: Any, **headers: str) -> tuple[int, Any]:
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        return request(urllib.request.Request(self.url + path, data=content, headers=headers))

    def get(self, path: str, method: str = "GET") -> tuple[int, Any]:
        return request(urllib.request.Request(self.url + path, method=method))

    def metric(self, name: str, **labels: str) -> float:
        with urllib.request.urlopen(f"{self.metrics_url}/metrics", timeout=DEADLINE) as response:
            text = response.read().decode()
        for line in text.splitlines():
            if line.startswith(name + "{") and all(f'{key}="{value}"' in line for key, value in labels.items()):
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"{name} {labels} is not in:\n{text}")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


def request(content: urllib.request.Request) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(content, timeout=DEADLINE) as response:
            status, body = response.status, response.read()
            is_json = response.headers["Content-Type"] == "application/json"
    except urllib.error.HTTPError as error:
        with error:
            status, body, is_json = error.code, error.read(), True
    return status, json.loads(body) if is_json else body


@contextlib.contextmanager
def serving(*arguments: str | Path) -> Iterator[Server]:
    """Run `seatrial-server serve` until the end of the block; ports are chosen by the kernel."""
    command = [
        sys.executable,
        "-m",
        "seatrial_server",
        "serve",
        *map(str, arguments),
        "--port",
        "0",
        "--grpc-port",
        "0",
        "--metrics-port",
        "0",
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "SEATRIAL_TERMINATION_LOG": "/dev/null"}
    # A file, not a pipe: nobody reads while the test runs, and a server whose pipe is full stands still.
    with tempfile.NamedTemporaryFile() as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1"], stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        log = Path(output.name)
        try:
            yield Server(process, log, *started(process, log))
        finally:
            process.kill()
            process.wait()


def started(process: subprocess.Popen[bytes], log: Path) -> tuple[int, int, int]:
    """REST, gRPC and metrics, from the laptop's announcement, or from the pod's log line."""
    give_up = time.monotonic() + START
    while time.monotonic() < give_up and process.poll() is None:
        text = log.read_text()
        laptop = re.search(r"infer: .*:(\d+)/v2.*\ngrpc: .*:(\d+)\nmetrics: .*:(\d+)/metrics", text)
        pod = re.search(r'"rest":(\d+),"grpc":(\d+),"metrics":(\d+)', text)
        if found := laptop or pod:
            return int(found[1]), int(found[2]), int(found[3])
        time.sleep(0.01)
    raise AssertionError(f"the server did not start:\n{log.read_text()}")


class Wire:
    """A raw connection: says exactly what it is told to say."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> Wire:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before everything was read
            self.socket.sendall(data)
        return self

    def rest(self) -> bytes:
        """Everything until the server closes."""
        parts = []
        with contextlib.suppress(ConnectionResetError):
            while part := self.socket.recv(65536):
                parts.append(part)
        return b"".join(parts)

    def responses(self, count: int) -> list[tuple[int, dict[str, str], bytes]]:
        """The next answers: status, headers, body."""
        with self.socket.makefile("rb") as file:
            return [self._response(file) for _ in range(count)]

    @staticmethod
    def _response(file: Any) -> tuple[int, dict[str, str], bytes]:
        status = int(file.readline().split()[1])
        headers = {}
        while (line := file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, file.read(int(headers.get("content-length", 0)))


def tensor(values: Any, *, name: str = "x", datatype: str = "FP32") -> dict[str, Any]:
    """A JSON tensor with the shape of the nested list."""
    array = np.array(values)
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": array.reshape(-1).tolist()}


def row(value: float = 1.0, **extra: Any) -> bytes:
    """The JSON body of one row for the linear graph; the answer is [4 * value, -4 * value]."""
    return json.dumps({"inputs": [tensor([[value] * 4])], **extra}).encode()
