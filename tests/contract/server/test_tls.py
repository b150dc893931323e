"""TLS on both ports from files that are renewed: real clients, a real authority."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests
import tritonclient.grpc as triton
from cryptography import x509
from tests.contract.server import authority, prepared, process, raw
from tests.contract.server.process import Server

LINEAR = json.loads(process.row())


@pytest.fixture
def ca(tmp_path: Path) -> authority.Authority:
    return authority.Authority(tmp_path)


@pytest.fixture
def server(tmp_path: Path, ca: authority.Authority) -> Iterator[Server]:
    ca.issue(tmp_path / "tls")
    files = {"certificate": str(tmp_path / "tls/tls.crt"), "key": str(tmp_path / "tls/tls.key")}
    with process.serving(*prepared.pod(tmp_path, tls=files)) as running:
        yield running


def url(server: Server, path: str = "/v2/models/model/infer") -> str:
    return f"https://127.0.0.1:{server.port}{path}"


def trusting(ca: authority.Authority) -> requests.Session:
    session = requests.Session()
    session.verify, session.trust_env = str(ca.file), False  # the environment may name another authority
    return session


def serial(port: int) -> int:
    """Of the certificate that a new connection gets."""
    return x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", port)).encode()).serial_number


def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + process.DEADLINE
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def infer(client: triton.InferenceServerClient) -> Any:
    tensor = triton.InferInput("x", [1, 4], "FP32")
    tensor.set_data_from_numpy(np.ones((1, 4), np.float32))
    return client.infer("model", [tensor]).as_numpy("y").tolist()


def test_rest_and_grpc_are_encrypted(server: Server, ca: authority.Authority) -> None:
    with trusting(ca) as session:
        for _ in range(3):
            answer = session.post(url(server), json=LINEAR, timeout=process.DEADLINE)
            assert (answer.status_code, answer.json()["outputs"][0]["data"]) == (200, [4, -4])
        assert session.get(url(server, "/v2/models/other"), timeout=process.DEADLINE).status_code == 404
    with triton.InferenceServerClient(server.grpc, ssl=True, root_certificates=str(ca.file)) as client:
        assert infer(client) == [[4, -4]]


def test_who_does_not_speak_tls_gets_no_answer(server: Server) -> None:
    with process.Wire(server.port) as wire:
        assert not wire.send(raw.post(process.row())).rest().startswith(b"HTTP")
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=2)


def test_a_client_that_trusts_somebody_else_refuses(server: Server) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(url(server, "/v2"), timeout=process.DEADLINE)


def test_a_refusal_that_ends_the_connection_is_read(server: Server, ca: authority.Authority) -> None:
    context = ssl.create_default_context(cafile=str(ca.file))
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=process.DEADLINE) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as wire,
    ):
        wire.sendall(b"GET /v2 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert wire.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_a_renewed_certificate_is_taken_and_open_connections_go_on(
    server: Server, ca: authority.Authority, tmp_path: Path
) -> None:
    grpc_port = int(server.grpc.rpartition(":")[2])
    with (
        trusting(ca) as session,
        triton.InferenceServerClient(server.grpc, ssl=True, root_certificates=str(ca.file)) as client,
    ):
        open_before = session.post(url(server), json=LINEAR, timeout=process.DEADLINE, stream=True)
        local = open_before.raw.connection.sock.getsockname()
        assert open_before.json()
        assert infer(client) == [[4, -4]]
        renewed = ca.issue(tmp_path / "tls")
        until(lambda: serial(server.port) == renewed and serial(grpc_port) == renewed)
        after = session.post(url(server), json=LINEAR, timeout=process.DEADLINE, stream=True)
        assert after.raw.connection.sock.getsockname() == local, "the connection that was open is still used"
        assert infer(client) == [[4, -4]]


def test_a_pair_that_does_not_fit_is_not_taken(server: Server, ca: authority.Authority, tmp_path: Path) -> None:
    before = serial(server.port)
    other = tmp_path / "other"
    ca.issue(other)
    (tmp_path / "tls/..data/tls.key").write_bytes((other / "tls.key").read_bytes())
    until(lambda: "renewed certificate not taken" in server.log.read_text())
    assert serial(server.port) == before
    answer = requests.post(url(server), json=LINEAR, timeout=process.DEADLINE, verify=str(ca.file))
    assert answer.status_code == 200


def test_files_that_are_no_certificate_are_said_at_the_start(tmp_path: Path) -> None:
    files = {"certificate": str(tmp_path / "none.crt"), "key": str(tmp_path / "none.key")}
    with (
        pytest.raises(AssertionError, match="tls: No such file or directory"),
        process.serving(*prepared.pod(tmp_path, tls=files)),
    ):
        pass


def test_a_drain_ends_encrypted_connections(server: Server, ca: authority.Authority) -> None:
    with trusting(ca) as session:
        assert session.post(url(server), json=LINEAR, timeout=process.DEADLINE).status_code == 200
        server.terminate()
        assert server.process.wait(process.DEADLINE) == 0
