"""Programs on the PATH that write down how they were called, for commands that would need a container engine."""

from __future__ import annotations

import json
import sys
from pathlib import Path

_PROGRAM = f"""\
#!{sys.executable} -IS
import json, pathlib, sys
here = pathlib.Path(__file__)
name, arguments = here.name, sys.argv[1:]
given = sys.stdin.read() if "-" in arguments else ""
with (here.parent / "calls").open("a") as calls:
    calls.write(json.dumps([name, *arguments]) + "\\n")
    calls.flush()
if given:
    with (here.parent / "inputs").open("a") as inputs:
        inputs.write(given + "\\n---\\n")
for rule in json.loads((here.parent / f"{{name}}.answers").read_text()):
    if all(word in arguments for word in rule["words"]):
        for path, text in rule.get("files", {{}}).items():
            target = pathlib.Path(arguments[arguments.index(path) + 1])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        sys.stdout.write(rule.get("says", ""))
        sys.stderr.write(rule.get("complains", ""))
        sys.exit(rule.get("status", 0))
"""


def program(folder: Path, name: str, *answers: dict[str, object]) -> None:
    """Puts a program there. The first answer whose `words` are all among the arguments is given: what it `says`,
    `complains` on standard error, the `files` it writes (by the flag that names them), its `status`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(_PROGRAM)
    (folder / name).chmod(0o755)
    (folder / f"{name}.answers").write_text(json.dumps(answers))


def calls(folder: Path) -> list[list[str]]:
    """Every call, in order: name and arguments."""
    path = folder / "calls"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def inputs(folder: Path) -> str:
    """What the programs were given on standard input."""
    path = folder / "inputs"
    return path.read_text() if path.exists() else ""
