"""Keeps a list of programs running and obeys a control socket. The pid 1 of the node, and the parent of the
API-server-only cluster.

    python -m tests.cluster.harness.supervisor PLAN.json [--while-stdin]

A program that exits is started again, with a growing pause; one that was told to stop stays stopped. One request per
connection, one JSON line each way; `control.py` is the other side. With --while-stdin it ends when its standard input
closes, killing everything and deleting the plan's folder: a killed test run leaves nothing behind. Knows nothing about
Kubernetes, and must stay so: it is what everything else rests on.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 3.0
_CALLER_SECONDS = 20.0  # a caller that connected has its line ready, and may be on a machine that has no time for it
_STEADY_SECONDS = 10.0  # a program that lived this long starts again without a grown pause


class Program(msgspec.Struct, frozen=True):
    """One program: where its output goes and whether it starts by itself or waits for a `start` request."""

    name: str
    argv: tuple[str, ...]
    log: str
    env: dict[str, str] = {}
    autostart: bool = True


class Plan(msgspec.Struct, frozen=True):
    """What the supervisor is given: the programs and the place of its socket."""

    control: str
    programs: tuple[Program, ...]


class Request(msgspec.Struct, frozen=True):
    """`start` and `stop` change whether a program is wanted; `signal` only sends; `status` needs no program.

    SIGSTOP is answered when all threads of the program have stopped.
    """

    verb: str
    program: str = ""
    signal: int = 0


class State(msgspec.Struct, frozen=True):
    """`pid` 0 means not running. Pids are those of the supervisor's own pid namespace."""

    pid: int
    wanted: bool
    starts: int


class Reply(msgspec.Struct, frozen=True):
    error: str = ""
    programs: dict[str, State] = {}


class _Child:
    """One program's present state."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.wanted = program.autostart
        self.pid = 0
        self.starts = 0
        self.started = 0.0
        self.due = 0.0
        self.pause = _FIRST_PAUSE

    def start(self, now: float) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        program = self.program
        self.pid = os.posix_spawnp(
            program.argv[0],
            program.argv,
            {**os.environ, **program.env},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, program.log, flags, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setpgroup=0,
            setsigdef=[signal.SIGPIPE],
        )
        self.starts += 1
        self.started = now

    def exited(self, now: float) -> None:
        self.pid = 0
        self.pause = _FIRST_PAUSE if now - self.started > _STEADY_SECONDS else min(self.pause * 2, _LONGEST_PAUSE)
        self.due = now + self.pause


class Supervisor:
    """One thread, one selector: exits of children, requests, and the time of the next restart."""

    def __init__(self, plan: Plan, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._children = {program.name: _Child(program) for program in plan.programs}
        self._over = False
        self._selector = selectors.DefaultSelector()
        self._wakeup, wakeup_end = socket.socketpair()
        for end in (self._wakeup, wakeup_end):
            end.setblocking(False)
        self._wakeup_end = wakeup_end
        self._listener = socket.socket(socket.AF_UNIX)
        # Whoever waits for the file finds one that takes connections: a socket refuses them until it listens.
        unnamed = f"{plan.control}~"
        Path(unnamed).unlink(missing_ok=True)
        self._listener.bind(unnamed)
        self._listener.listen(16)
        os.replace(unnamed, plan.control)
        self._selector.register(self._listener, selectors.EVENT_READ, self._serve)
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._woken)

    def end_with(self, stream: int) -> None:
        """Ends when this file descriptor reaches its end."""
        self._selector.register(stream, selectors.EVENT_READ, self.end)

    def run(self) -> None:
        signal.set_wakeup_fd(self._wakeup_end.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # the wake-up descriptor does the work
        signal.signal(signal.SIGTERM, lambda *_: self.end())
        while not self._over:
            self._reap()
            for key, _ in self._selector.select(self._start_due()):
                key.data()
        self._kill_all()

    def end(self) -> None:
        self._over = True

    def answer(self, request: Request) -> Reply:
        child = self._children.get(request.program)
        if child is None and request.verb != "status":
            return Reply(error=f"no program {request.program!r}; there are {', '.join(self._children)}")
        if child is not None and request.verb in ("start", "stop"):
            child.wanted, child.due = request.verb == "start", 0.0
        if child is not None and child.pid and request.verb in ("stop", "signal"):
            os.kill(child.pid, request.signal)
        if child is not None and child.pid and request.signal == signal.SIGSTOP:
            os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if child is not None and child.pid and request.verb == "stop":
            os.kill(child.pid, signal.SIGCONT)  # a frozen program would never see the signal
        states = {n: State(pid=c.pid, wanted=c.wanted, starts=c.starts) for n, c in self._children.items()}
        return Reply(programs=states)

    def _start_due(self) -> float | None:
        """Starts what is due; seconds until the next start, None when there is none."""
        now = self._clock()
        waits = []
        for child in self._children.values():
            if child.wanted and not child.pid:
                if child.due <= now:
                    child.start(now)
                else:
                    waits.append(child.due - now)
        return min(waits, default=None)

    def _reap(self) -> None:
        """Takes in every exited process: as pid 1 also orphans of containers, which belong to nobody here."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children.values():
                if child.pid == pid:
                    child.exited(self._clock())

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rwb") as stream:
            connection.settimeout(_CALLER_SECONDS)
            try:
                reply = self.answer(msgspec.json.decode(stream.readline(), type=Request))
            except (msgspec.DecodeError, OSError) as error:
                reply = Reply(error=str(error))
            try:
                stream.write(msgspec.json.encode(reply) + b"\n")
                stream.flush()
            except OSError as error:
                print(f"a caller left before its answer: {error}", file=sys.stderr)

    def _woken(self) -> None:
        self._wakeup.recv(4096)

    def _kill_all(self) -> None:
        for child in self._children.values():
            if child.pid:
                os.killpg(child.pid, signal.SIGKILL)
        for child in self._children.values():
            if child.pid:
                os.waitpid(child.pid, 0)


def main(argv: list[str]) -> None:
    supervisor = Supervisor(msgspec.json.decode(Path(argv[0]).read_bytes(), type=Plan))
    if "--while-stdin" in argv:
        supervisor.end_with(sys.stdin.fileno())
    supervisor.run()
    if "--while-stdin" in argv:
        shutil.rmtree(Path(argv[0]).parent)


if __name__ == "__main__":
    main(sys.argv[1:])
