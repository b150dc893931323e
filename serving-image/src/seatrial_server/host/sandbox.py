"""Run one function on untrusted files in a child process with limits on memory and time.

A model that crashes or loops ends the child, and the caller gets a `Rejected` that says so. Memory that runs out is
`Unavailable`: how much there is was not the model's choice. The child is a fresh interpreter without the parent's
environment, network and right to start programs (`confine`). Arguments and the result travel as JSON.
It bounds accidents and resource attacks; the pod's security context is what contains code execution.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson

from seatrial_server.host import confine, errors, logs, memory

_PASSED_ON = ("PATH", "PYTHON", "LD_LIBRARY_PATH", "LANG", "LC_", "HOME", "TMPDIR", "ORT_", "SEATRIAL_")


_PARENT = 128 * 1024**2  # what this process and the page tables take of the container's memory


class Limits(msgspec.Struct, frozen=True):
    """`data` is what the child may allocate, where the container has no limit of its own.

    Below the container's limit, so that the child learns of it and says so: at the limit the kernel ends all of the
    container's processes, and nobody is left to tell why.
    """

    data: int = 8 * 1024**3
    seconds: float = 600.0
    doing: str = "examining the model"
    sockets: bool = False
    """Whether the child may talk to others; nothing but the robustness test does, to itself."""

    @property
    def bytes(self) -> int:
        """The smaller of both."""
        granted = memory.limit()
        return self.data if granted is None else min(self.data, max(granted - _PARENT, _PARENT))


def call(function: str, arguments: dict[str, Any], *, limits: Limits | None = None) -> dict[str, Any]:
    """Call `package.module:function` with keyword arguments; its `Rejected` and `Unavailable` come back as such."""
    limits = limits or Limits()
    allowed = limits.bytes
    request = orjson.dumps({"function": function, "arguments": arguments, "data": allowed, "sockets": limits.sockets})
    confine.hide()  # or the child could read the credentials in /proc
    # A fixed hash seed: sets inside the quantizer would otherwise order the served bytes differently in every process.
    environment = {**_harmless(), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        child = subprocess.run(
            [sys.executable, "-m", "seatrial_server.host.sandbox"],
            input=request,
            capture_output=True,
            timeout=limits.seconds,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise errors.Rejected("InvalidModel", f"{limits.doing} took longer than {limits.seconds:.0f} s") from None
    sys.stderr.write(child.stderr.decode(errors="replace"))
    killed = child.returncode == -signal.SIGKILL  # nobody but the kernel does that
    if killed or (child.returncode == -signal.SIGABRT and b"bad_alloc" in child.stderr):
        raise errors.Unavailable(memory.too_little(allowed), retryable=False)
    if child.returncode == -signal.SIGPROF:
        raise errors.Rejected("InvalidModel", "calling the model with a few rows took too long: it may never end")
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise errors.Rejected("InvalidModel", f"{limits.doing} ended its process with {name}")
    *log_lines, last = child.stdout.rstrip(b"\n").split(b"\n")
    logs.pass_on("".join(line.decode(errors="replace") + "\n" for line in log_lines))
    try:
        answer: dict[str, Any] = orjson.loads(last)
    except orjson.JSONDecodeError:
        raise errors.Unavailable(
            f"the examining process ended with code {child.returncode} and no result", retryable=False
        ) from None
    if "rejected" in answer:
        raise errors.Rejected(answer["reason"], answer["rejected"])
    if "unavailable" in answer:
        raise errors.Unavailable(answer["unavailable"], retryable=answer["retryable"])
    if "memory" in answer:
        raise errors.Unavailable(memory.too_little(allowed), retryable=False)
    result: dict[str, Any] = answer["result"]
    return result


@contextlib.contextmanager
def cpu_seconds(most: float) -> Iterator[None]:
    """In the child: end the process when the block computes for longer, whatever it is in the middle of."""
    signal.setitimer(signal.ITIMER_PROF, most)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _harmless() -> dict[str, str]:
    """The environment without what the fetch stage got from a Secret, whatever its names are."""
    return {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    module, _, name = request["function"].partition(":")
    try:
        return {"result": getattr(importlib.import_module(module), name)(**request["arguments"])}
    except errors.Rejected as error:
        return {"rejected": str(error), "reason": error.reason}
    except errors.Unavailable as error:
        return {"unavailable": str(error), "retryable": error.retryable}
    except Exception as error:
        if errors.of_memory(error):
            return {"memory": True}
        logging.getLogger(__name__).exception("examining the model failed")
        why = f"examining the model failed: {type(error).__name__}: {str(error)[:500]}"
        return {"unavailable": why, "retryable": isinstance(error, OSError)}


def main() -> None:
    """The child's side: limits first, then imports."""
    request = orjson.loads(sys.stdin.buffer.read())
    resource.setrlimit(resource.RLIMIT_DATA, (request["data"], request["data"]))
    logs.configure(stream=sys.stdout)
    if not confine.confine(sockets=request["sockets"]):
        logs.warning(logging.getLogger(__name__), "this kernel takes no filter: sockets and programs are not refused")
    answer = _answer(request)
    sys.stdout.flush()
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")


if __name__ == "__main__":
    main()
