"""The demo's model store: the files of one folder over HTTP, nothing else. Standard library only.

No listing, no upload, no log line per request. TLS, credentials and redirects are left to real stores.
"""

from __future__ import annotations

import functools
import http
import http.server
import signal
import sys
import threading
from typing import Any


class Handler(http.server.SimpleHTTPRequestHandler):
    """GET and HEAD of files; a folder is 404, except /healthz for the probe, which is 204."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self.send_response(http.HTTPStatus.NO_CONTENT)
            self.end_headers()
        else:
            super().do_GET()

    def list_directory(self, path: Any) -> None:
        self.send_error(http.HTTPStatus.NOT_FOUND)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Only errors are logged."""


def main(folder: str, port: int) -> None:
    """Serve `folder` until SIGTERM."""
    handler = functools.partial(Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("", port), handler) as server:
        # shutdown() waits for the serving loop, which this very thread runs.
        stop = threading.Thread(target=server.shutdown)
        signal.signal(signal.SIGTERM, lambda *_: stop.start())
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
