"""What the process that opens an untrusted model can't do: look at its parent, talk, start programs, fill the disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seatrial_server.host import confine, sandbox

ATTEMPTS = """
import os, resource, socket, subprocess, threading

def _tried(what):
    try:
        what()
    except OSError as error:
        return type(error).__name__
    return "done"

def talk():
    return [_tried(lambda: socket.socket(family)) for family in (socket.AF_INET, socket.AF_INET6)]

def program():
    return [_tried(lambda: subprocess.run(["true"])), _tried(os.fork)]

def thread():
    one = threading.Thread(target=lambda: None)
    one.start()
    one.join()
    return "done"

def fill():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    return [_tried(lambda: open("large", "wb").write(b"x" * 10_000)), resource.getrlimit(resource.RLIMIT_FSIZE)[1]]
"""
REFUSED = "PermissionError"


@pytest.fixture(autouse=True)
def attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "attempts.py").write_text(ATTEMPTS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_it_can_open_no_socket_unless_it_may_talk() -> None:
    assert sandbox.call("attempts:talk", {}) == [REFUSED] * 2
    assert sandbox.call("attempts:talk", {}, limits=sandbox.Limits(sockets=True)) == ["done"] * 2


def test_it_can_start_no_program_and_no_process_but_threads() -> None:
    assert sandbox.call("attempts:program", {}) == [REFUSED] * 2
    assert sandbox.call("attempts:thread", {}) == "done"


def test_its_files_are_bounded() -> None:
    assert sandbox.call("attempts:fill", {}) == ["OSError", 8 * 1024**3]


def test_the_filter_of_the_other_architecture_has_the_same_refusals() -> None:
    assert len(confine.program("aarch64", sockets=False)) == len(confine.program("x86_64", sockets=False)) - 2 * 16


def test_a_hidden_process_cannot_be_read_by_another_of_the_same_user() -> None:
    """As an ordinary user: root may read anything. A change of user hides a process too, so that is taken back."""
    script = """
import ctypes, os
from seatrial_server.host import confine
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1)
for hidden in (False, True):
    if hidden:
        confine.hide()
    child = os.fork()
    if child == 0:
        try:
            open(f"/proc/{os.getppid()}/environ", "rb").read()
            os._exit(0)
        except PermissionError:
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "1"]


def test_a_call_that_computes_for_ever_is_a_verdict(tmp_path: Path) -> None:
    (tmp_path / "attempts.py").write_text(
        "from seatrial_server.host import sandbox\n"
        "def endless():\n    with sandbox.cpu_seconds(0.2):\n        while True:\n            pass\n"
    )
    with pytest.raises(Exception, match="may never end"):
        sandbox.call("attempts:endless", {})
