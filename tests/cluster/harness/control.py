"""The tests' handle on supervised programs: stop, start, freeze and kill them, as faults or to make room.

The other side of the supervisor's socket. A socket is a file, so it is reached from outside the node's namespaces.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
from tests.cluster.harness import errors, supervisor, waiting

_SECONDS = 30  # an answer takes a millisecond, and on a machine that has no time for the supervisor longer


def ask(path: Path, request: supervisor.Request) -> dict[str, supervisor.State]:
    """The programs' states after the request was carried out."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(str(path))
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as stream:
                reply = msgspec.json.decode(stream.readline(), type=supervisor.Reply)
    except (OSError, msgspec.DecodeError) as error:
        raise errors.NotReady(
            f"the cluster's supervisor does not answer at {path}: {error}; run make cluster-up"
        ) from error
    if reply.error:
        raise errors.HarnessError(f"the cluster's supervisor refused: {reply.error}")
    return reply.programs


def status(path: Path) -> dict[str, supervisor.State]:
    return ask(path, supervisor.Request(verb="status"))


class Switch:
    """One supervised program. `ready` says when it serves again after a start."""

    def __init__(self, path: Path, name: str, *, ready: Callable[[], bool] | None = None) -> None:
        self._path = path
        self._name = name
        self._ready = ready

    @property
    def running(self) -> bool:
        return self._state().pid != 0

    def stop(self, *, grace: float = 3) -> None:
        """Ends the program until `start`; returns when it has exited.

        After `grace` seconds it is killed: an API server, for one, drains its watches for up to a minute.
        """
        self._ask("stop", signal.SIGTERM)
        try:
            waiting.until(lambda: not self.running, what=f"{self._name} ended", seconds=grace)
        except errors.NotReady:
            self._ask("stop", signal.SIGKILL)
            waiting.until(lambda: not self.running, what=f"{self._name} killed", seconds=20)

    def start(self, *, timeout: float = 180) -> None:
        """Starts it, and returns when it serves."""
        self._ask("start")
        waiting.until(self._serves, what=f"{self._name} started", seconds=timeout)

    def kill(self) -> None:
        """SIGKILL; the supervisor starts it again by itself. Returns when the old process is gone."""
        before = self._state()
        self._ask("signal", signal.SIGKILL)
        waiting.until(lambda: self._state().pid != before.pid, what=f"{self._name} killed", seconds=20)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._ask("signal", signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT, the end of a freeze."""
        self._ask("signal", signal.SIGCONT)

    def _serves(self) -> bool:
        return self.running and (self._ready is None or self._ready())

    def _state(self) -> supervisor.State:
        return status(self._path)[self._name]

    def _ask(self, verb: str, number: int = 0) -> None:
        ask(self._path, supervisor.Request(verb=verb, program=self._name, signal=number))
