"""The supervisor with real processes: it restarts, stops, freezes, refuses and ends."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.cluster.harness import control, errors, paths, supervisor, waiting

_BUSY = """
import threading
for _ in range(16):
    threading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()
"""


@pytest.fixture
def folder() -> Path:
    """Short, since a socket lies in it; deleted by the supervisor itself."""
    return Path(tempfile.mkdtemp(prefix="seatrial-"))


@pytest.fixture
def socket(folder: Path) -> Iterator[Path]:
    """A supervisor with a program that runs, and one that waits to be started."""
    path = folder / "control"
    sleeper = ("sleep", "60")
    programs = (
        supervisor.Program(name="first", argv=sleeper, log=str(folder / "first")),
        supervisor.Program(name="second", argv=sleeper, log=str(folder / "second"), autostart=False),
        supervisor.Program(name="busy", argv=(sys.executable, "-c", _BUSY), log=str(folder / "busy"), autostart=False),
    )
    plan = folder / "plan.json"
    plan.write_bytes(msgspec.json.encode(supervisor.Plan(control=str(path), programs=programs)))
    command = [sys.executable, "-m", supervisor.__name__, str(plan), "--while-stdin"]
    with subprocess.Popen(command, cwd=paths.REPO, stdin=subprocess.PIPE):
        waiting.until(path.exists, what="supervisor", seconds=30)
        waiting.until(lambda: control.Switch(path, "first").running, what="first program", seconds=30)
        yield path


def test_a_killed_program_is_started_again(socket: Path) -> None:
    control.Switch(socket, "first").kill()
    waiting.until(lambda: control.status(socket)["first"].starts == 2, what="restart", seconds=60)


def test_a_stopped_program_stays_stopped_until_started(socket: Path) -> None:
    switch = control.Switch(socket, "first")
    switch.stop()
    assert control.status(socket)["first"] == supervisor.State(pid=0, wanted=False, starts=1)
    switch.start()
    assert switch.running


def test_a_frozen_program_can_be_stopped(socket: Path) -> None:
    switch = control.Switch(socket, "first")
    switch.freeze()
    switch.stop()
    assert not switch.running


def test_no_thread_of_a_frozen_program_runs(socket: Path) -> None:
    switch = control.Switch(socket, "busy")
    switch.start()
    threads = Path(f"/proc/{control.status(socket)['busy'].pid}/task")
    waiting.until(lambda: len(list(threads.iterdir())) == 17, what="threads", seconds=30)
    for _ in range(20):
        switch.freeze()
        states = {(thread / "stat").read_text().rpartition(") ")[2][0] for thread in threads.iterdir()}
        assert states == {"T"}
        switch.thaw()


def test_a_program_may_wait_for_its_start(socket: Path) -> None:
    switch = control.Switch(socket, "second")
    assert not switch.running
    switch.start()
    assert switch.running


def test_an_unknown_program_is_refused_by_name(socket: Path) -> None:
    with pytest.raises(errors.HarnessError, match="no program 'third'; there are first, second, busy"):
        control.ask(socket, supervisor.Request(verb="start", program="third"))


def test_without_a_supervisor_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(errors.NotReady, match="make cluster-up"):
        control.status(tmp_path / "none")
