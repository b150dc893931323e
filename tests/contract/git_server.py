"""A Git repository over HTTP on loopback: Git's own `http-backend` behind a small server, for tools that clone."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.cluster.harness import shell

_WHO = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))
}
# No file of the user's is read.
_PLAIN = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ.get("PATH", os.defpath)}


class Repository:
    """One branch, main. `url` is where it is served."""

    def __init__(self, folder: Path, *, name: str, server: str) -> None:
        self.url = f"{server}/{name}.git"
        self._work = folder / f"{name}-work"
        bare = folder / f"{name}.git"
        shell.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", bare], env=_PLAIN)
        shell.run(["git", "init", "--quiet", "--initial-branch=main", self._work], env=_PLAIN)
        self._git("remote", "add", "origin", str(bare))

    def commit(self, files: Mapping[str, str]) -> str:
        """The files as they shall be, committed and pushed; the commit's hash."""
        for path, text in files.items():
            (self._work / path).parent.mkdir(parents=True, exist_ok=True)
            (self._work / path).write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message=change")
        return self._push()

    def revert(self) -> str:
        """The newest commit undone by another one."""
        self._git("revert", "--no-edit", "HEAD")
        return self._push()

    def _push(self) -> str:
        self._git("push", "--quiet", "origin", "main")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str) -> str:
        return shell.run(["git", "-C", str(self._work), *arguments], env={**_PLAIN, **_WHO})


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serves the bare repositories of a folder to whoever reads them, at the yielded address."""
    handler = functools.partial(_Backend, folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Backend(http.server.BaseHTTPRequestHandler):
    """CGI, as Git's manual describes it for web servers."""

    def __init__(self, folder: Path, *rest: object) -> None:
        self._folder = folder
        super().__init__(*rest)  # type: ignore[arg-type]  # what the server gives

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        length = self.headers.get("Content-Length", "0")
        environment = {
            **_PLAIN,
            "GIT_PROJECT_ROOT": str(self._folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": length,
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        told = subprocess.run(
            ["git", "http-backend"],
            input=self.rfile.read(int(length)),
            env=environment,
            capture_output=True,
            check=True,
        ).stdout
        head, _, content = told.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""
