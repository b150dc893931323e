"""A collector of traces on loopback: takes OTLP over HTTP and keeps the spans."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from tests.contract.server import process


class Collector:
    """`spans` are (span, attributes of the server)."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.spans: list[tuple[Any, dict[str, str]]] = []

    def take(self, body: bytes) -> None:
        for resource in trace_service_pb2.ExportTraceServiceRequest.FromString(body).resource_spans:
            about = attributes(resource.resource)
            self.spans += [(span, about) for scope in resource.scope_spans for span in scope.spans]

    def wait(self, count: int) -> list[tuple[Any, dict[str, str]]]:
        give_up = time.monotonic() + process.DEADLINE
        while len(self.spans) < count:
            assert time.monotonic() < give_up, f"{len(self.spans)} spans came"
            time.sleep(0.01)
        return self.spans


def attributes(message: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in message.attributes}


@contextlib.contextmanager
def running() -> Iterator[Collector]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield collector
        server.shutdown()
        thread.join()
