"""Nothing is fetched from where a node keeps credentials, whatever name or redirect leads there."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.server.stores import DIGEST, download

from seatrial_server.artifact.sources import addresses
from seatrial_server.host import errors

NAMED = "fetch.seatrial.test"


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.0.1", "fe80::1%eth0", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
        *("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "2002:a9fe:a9fe::1"),
        *("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "224.0.0.1"),
    ],
)
def test_an_address_that_is_nobodys_store_is_refused(address: str) -> None:
    assert addresses.refusal(address, loopback=False)


@pytest.mark.parametrize("address", ["10.0.0.7", "192.168.1.5", "172.16.0.9", "8.8.8.8", "fd12::1", "2001:db8::1"])
def test_stores_of_the_cluster_and_of_the_world_are_allowed(address: str) -> None:
    assert addresses.refusal(address, loopback=False) == ""


class Redirecting(http.server.BaseHTTPRequestHandler):
    """To wherever the path says."""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", f"http://{self.path.strip('/')}/latest/meta-data")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def redirecting() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("there", ["169.254.169.254", "[::ffff:169.254.169.254]", "0.0.0.0:80"])
def test_a_redirect_to_the_metadata_service_is_not_followed(tmp_path: Path, redirecting: str, there: str) -> None:
    with pytest.raises(errors.Rejected, match="nothing is fetched from there") as caught:
        download(f"{redirecting}/{there}", tmp_path, sha256=DIGEST)
    assert caught.value.reason == "FetchRefused"


@pytest.mark.parametrize("address", ["169.254.169.254", "127.0.0.1"])
def test_a_name_that_leads_there_is_refused_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        assert host == NAMED
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(errors.Rejected, match=address):
        download(f"http://{NAMED}/model.onnx", tmp_path, sha256=DIGEST)
