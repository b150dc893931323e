"""Samples from a real server to a real sink: REST on both ways, gRPC, switched on and off while it serves."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
from tests.contract.server import prepared, process

ROOT = Path(__file__).resolve().parents[3]
KSERVE = ROOT / ".venv-kserve" / "bin" / "python"
READER = """
import json, sys
from cloudevents.http import from_json
for event in json.load(sys.stdin):
    found = from_json(json.dumps(event))
    print(found["type"], found["id"], found["source"], sorted(found.data))
"""


class Handler(http.server.BaseHTTPRequestHandler):
    bodies: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append((self.headers["Content-Type"], body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def sink() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    handler = type("Sink", (Handler,), {"bodies": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", handler.bodies
        server.shutdown()
        thread.join()


def settings(folder: Path, **parts: Any) -> None:
    fresh = folder / "fresh.json"
    fresh.write_text(json.dumps(parts))
    fresh.rename(folder / "monitoring.json")


def switch_off(folder: Path, server: process.Server) -> None:
    """Returns when the server has read it: a part that it does not know is named in its log."""
    settings(folder, **{"of-a-later-release": {}})
    wait(lambda: "of-a-later-release" in server.log.read_text())


def wait(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + process.DEADLINE
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.1)


def test_requests_over_every_way_reach_the_sink_as_events_that_the_sdk_reads(
    tmp_path: Path, sink: tuple[str, list[tuple[str, bytes]]]
) -> None:
    url, bodies = sink
    settings(tmp_path, samples={"share": 1.0, "sink": url})
    arguments = prepared.pod(tmp_path, monitoring={"file": str(tmp_path / "monitoring.json")})
    with process.serving(*arguments) as server:
        for number in range(3):  # the second and third are known by their form
            status, answer = server.post(
                "/v2/models/model/infer",
                {"inputs": [process.tensor([[float(number), 2, 3, 4]])]},
                **{"X-Request-Id": f"rest-{number}"},
            )
            assert (status, answer["id"]) == (200, f"rest-{number}")
        status, nameless = server.infer(process.tensor([[9, 9, 9, 9]]))
        assert status == 200
        with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
            tensor = tritonclient.grpc.InferInput("x", [1, 4], "FP32")
            tensor.set_data_from_numpy(np.ones((1, 4), np.float32))
            client.infer("model", [tensor], request_id="rpc")
        wait(lambda: server.metric("seatrial_samples_total", outcome="sent") == 5)
        switch_off(tmp_path, server)
        server.infer(process.tensor([[1, 1, 1, 1]]))
        assert server.metric("seatrial_samples_total", outcome="dropped") == 0
    events = [event for _, body in bodies for event in json.loads(body)]
    assert {kind for kind, _ in bodies} == {"application/cloudevents-batch+json"}
    assert sorted(event["id"] for event in events if event["type"].endswith("request")) == sorted(
        ["rest-0", "rest-1", "rest-2", "rpc", nameless["id"]]
    )
    if KSERVE.exists():
        read = subprocess.run(
            [KSERVE, "-c", READER], input=json.dumps(events), capture_output=True, text=True, check=False, timeout=240
        )
        assert read.returncode == 0, read.stderr
        assert len(read.stdout.splitlines()) == len(events)


def test_the_card_is_on_the_port_of_the_metrics(tmp_path: Path) -> None:
    with process.serving(*prepared.pod(tmp_path)) as server:
        for accept, kind in ((None, "text/markdown"), ("application/json", "application/vnd.cyclonedx+json")):
            asked = urllib.request.Request(f"{server.metrics_url}/card", headers={"Accept": accept} if accept else {})
            with urllib.request.urlopen(asked, timeout=process.DEADLINE) as response:
                assert response.headers["Content-Type"].startswith(kind)
                assert response.headers["Vary"] == "Accept"
                body = response.read().decode()
                assert "model" in body
        assert json.loads(body)["specVersion"] == "1.6"
