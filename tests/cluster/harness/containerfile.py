"""Which files of its context decide what a Containerfile builds: no build when none of them changed.

Reads the COPY and ADD lines instead of keeping a second list by hand. Knows just enough of the format for that.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

_IGNORED_FOLDERS = frozenset({"__pycache__", ".git"})
_IGNORED_SUFFIXES = frozenset({".pyc"})


def digest(containerfile: Path, *, context: Path, also: str = "") -> str:
    """Hash of the Containerfile, of every file it copies from the context (path, mode, content), and of `also`."""
    total = hashlib.sha256(also.encode() + b"\0" + containerfile.read_bytes())
    for path in inputs(containerfile.read_text(), context=context):
        executable = os.access(path, os.X_OK)
        total.update(
            f"\0{path.relative_to(context)}\0{executable}\0".encode() + hashlib.sha256(path.read_bytes()).digest()
        )
    return total.hexdigest()[:16]


def inputs(text: str, *, context: Path) -> list[Path]:
    """The files of the context that COPY and ADD name, sorted; a name that matches nothing contributes nothing."""
    found = {file for pattern in sources(text) for file in _files(pattern, context=context)}
    return sorted(found)


def sources(text: str) -> list[str]:
    """The sources of every COPY and ADD that reads from the context (not --from another stage, not a URL)."""
    found: list[str] = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        keyword, _, rest = line.strip().partition(" ")
        if keyword.upper() not in ("COPY", "ADD"):
            continue
        words = rest.split()
        flags = [word for word in words if word.startswith("--")]
        if any(flag.startswith("--from=") for flag in flags):
            continue
        plain = " ".join(word for word in words if word not in flags)
        parts = json.loads(plain) if plain.startswith("[") else plain.split()
        found += [part for part in parts[:-1] if "://" not in part]
    return found


def _files(pattern: str, *, context: Path) -> Iterator[Path]:
    relative = pattern.strip("/").removeprefix("./")
    matches = [context] if relative in ("", ".") else context.glob(relative)
    for match in matches:
        for path in match.rglob("*") if match.is_dir() else [match]:
            parts = path.relative_to(context).parts
            if path.is_file() and path.suffix not in _IGNORED_SUFFIXES and not _IGNORED_FOLDERS.intersection(parts):
                yield path
