"""SIGTERM under load: nobody who follows the keep-alive rules of HTTP loses a request."""

from __future__ import annotations

import contextlib
import http.client
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.contract.server import prepared, process
from tests.contract.server.process import Server, Wire, row
from tests.contract.server.raw import post
from tests.unit.server import graphs

from seatrial_server.protocol.http import listener

LAG = listener.Ages().keep_accepting
"""Seconds for which endpoints lag behind. Who comes later would come to another pod, and finds nobody here."""


class Client(threading.Thread):
    """Sends request after request; retries only where HTTP allows it: a reused connection that ended without a byte.

    `told`: when the server was told to go.
    """

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._port = server.port
        self.stop = threading.Event()
        self.draining = threading.Event()
        self.told = math.inf
        self.answered = self.after_close = 0
        self.failures: list[str] = []
        self.start()

    def run(self) -> None:
        while not self.stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=process.DEADLINE)
            try:
                self._use(connection)
            finally:
                connection.close()

    def _use(self, connection: http.client.HTTPConnection) -> None:
        """Requests on one connection until it ends."""
        used = False
        while not self.stop.is_set():
            draining = self.draining.is_set()
            try:
                connection.request("POST", "/v2/models/model/infer", row())
                response = connection.getresponse()
                response.read()
            except OSError as error:
                ended_unused = isinstance(error, ConnectionResetError | BrokenPipeError) and used
                if not used and time.monotonic() > self.told + LAG:
                    self.stop.set()
                elif not ended_unused:
                    self.failures.append(repr(error))
                return
            self.answered += 1
            used = True
            if response.status != 200:
                self.failures.append(str(response.status))
            if response.getheader("Connection") == "close":
                self.after_close += 1
                return
            if draining:
                self.failures.append("an answer during the drain lacks Connection: close")


def test_no_request_is_lost_while_the_server_goes(tmp_path: Path) -> None:
    arguments = prepared.pod(tmp_path)
    with process.serving(*arguments) as server, Wire(server.port) as idle, Wire(server.port) as fresh:
        assert idle.send(post(row())).responses(1)[0][0] == 200
        clients = [Client(server) for _ in range(8)]
        wait(lambda: all(client.answered > 20 for client in clients))
        for client in clients:
            client.told = time.monotonic()
        server.terminate()
        wait(lambda: server.get("/v2/health/ready")[0] == 503)
        for client in clients:
            client.draining.set()
        assert b"Connection: close" in fresh.send(post(row())).rest()  # opened before, used only now
        assert idle.rest() == b""  # an idle connection is let go at once
        assert server.get("/v2/health/live")[0] == 200
        assert server.get("/v2/models/model/ready")[0] == 503
        before = {client: client.answered for client in clients}
        wait(lambda: all(client.answered > before[client] + 20 or client.stop.is_set() for client in clients))
        for client in clients:
            client.stop.set()
        for client in clients:
            client.join(process.DEADLINE)
        assert [client.failures for client in clients] == [[]] * 8
        assert all(client.after_close for client in clients)
        assert server.process.wait(process.DEADLINE) == 0


def test_what_is_in_flight_is_finished(tmp_path: Path) -> None:
    arguments = prepared.pod(tmp_path, graphs.slow(300_000))
    with process.serving(*arguments) as server, contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(server.port)).send(post(row())) for _ in range(5)]  # one after the other
        wait(lambda: server.metric("seatrial_in_flight_requests") > 1)
        server.terminate()
        found = [wire.rest() for wire in wires]
        assert all(answer.startswith(b"HTTP/1.1 200 OK") for answer in found)
        assert any(b"Connection: close" in answer for answer in found)
        assert server.process.wait(process.DEADLINE) == 0


def wait(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + process.DEADLINE
    while not condition():
        assert time.monotonic() < give_up, "the condition did not come true"
        time.sleep(0.005)
