"""Run one function on untrusted files in a child process with limits on memory and time.

A model that crashes, loops or swallows memory ends the child, and the caller gets a `Rejected` that says so. The child
is a fresh interpreter: nothing of the parent's state is in its reach. Arguments and the result travel as JSON.
It bounds accidents and resource attacks; the pod's security context is what contains code execution.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import subprocess
import sys
from typing import Any

import msgspec
import orjson

from seatrial_server.host import errors, logs

_PASSED_ON = ("PATH", "PYTHON", "LD_LIBRARY_PATH", "LANG", "LC_", "HOME", "TMPDIR", "ORT_", "SEATRIAL_")


class Limits(msgspec.Struct, frozen=True):
    """Address space includes mapped libraries and arenas, so it is generous: a bound on runaways, not a budget."""

    address_space: int = 8 * 1024**3
    seconds: float = 600.0


def call(function: str, arguments: dict[str, Any], *, limits: Limits | None = None) -> dict[str, Any]:
    """Call `package.module:function` with keyword arguments; its `Rejected` and `Unavailable` come back as such."""
    limits = limits or Limits()
    request = orjson.dumps({"function": function, "arguments": arguments, "address_space": limits.address_space})
    # A fixed hash seed: sets inside the quantizer would otherwise order the served bytes differently in every process.
    environment = {**_harmless(), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        child = subprocess.run(
            [sys.executable, "-m", "seatrial_server.host.sandbox"],
            input=request,
            stdout=subprocess.PIPE,
            timeout=limits.seconds,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise errors.Rejected("InvalidModel", f"examining the model took longer than {limits.seconds:.0f} s") from None
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise errors.Rejected("InvalidModel", f"examining the model ended its process with {name}")
    *log_lines, last = child.stdout.rstrip(b"\n").split(b"\n")
    sys.stdout.write("".join(line.decode(errors="replace") + "\n" for line in log_lines))
    try:
        answer: dict[str, Any] = orjson.loads(last)
    except orjson.JSONDecodeError:
        raise errors.Unavailable(f"the examining process ended with code {child.returncode} and no result") from None
    if "rejected" in answer:
        raise errors.Rejected(answer["reason"], answer["rejected"])
    if "unavailable" in answer:
        raise errors.Unavailable(answer["unavailable"])
    result: dict[str, Any] = answer["result"]
    return result


def _harmless() -> dict[str, str]:
    """The environment without what the fetch stage got from a Secret, whatever its names are."""
    return {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    module, _, name = request["function"].partition(":")
    try:
        return {"result": getattr(importlib.import_module(module), name)(**request["arguments"])}
    except errors.Rejected as error:
        return {"rejected": str(error), "reason": error.reason}
    except MemoryError:
        return {"rejected": "examining the model needs more memory than is allowed", "reason": "InvalidModel"}
    except (errors.Unavailable, OSError) as error:
        return {"unavailable": str(error)}


def main() -> None:
    """The child's side: limits first, then imports."""
    request = orjson.loads(sys.stdin.buffer.read())
    resource.setrlimit(resource.RLIMIT_AS, (request["address_space"], request["address_space"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logs.configure()
    answer = _answer(request)
    sys.stdout.flush()
    sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")


if __name__ == "__main__":
    main()
