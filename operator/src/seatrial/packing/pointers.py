"""Data under DVC: its digest, and the address of these bytes in the remote, from pointer files beside it.

Reads, never asks. `<file>.dvc` where it was added by hand, `dvc.lock` where a stage of a pipeline made it, here or in a
folder above up to the repository's root. What can't be read is as good as not there: neither is required.
"""

from __future__ import annotations

import configparser
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

_KEPT = ("md5", "hash", "path", "size")
_MOST_BYTES = 4 * 1024 * 1024
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_SECTION = re.compile(r"['\"]?remote ['\"](?P<name>.+?)['\"]['\"]?")


def of(path: Path) -> dict[str, Any]:
    """`md5`, `size`, `path`, the stage that made it and `remote`; empty for a file that DVC doesn't know."""
    found = _added(path) or _made(path)
    md5 = found.get("md5")
    if isinstance(md5, str) and _MD5.fullmatch(md5) and (remote := _remote(path)):
        old = found.get("hash") != "md5"  # DVC 2 wrote no such key, and its remotes have no files/md5
        place = f"{md5[:2]}/{md5[2:]}" if old else f"files/md5/{md5[:2]}/{md5[2:]}"
        found["remote"] = f"{remote.rstrip('/')}/{place}"
    return found


def _added(path: Path) -> dict[str, Any]:
    pointer = _yaml(path.with_name(f"{path.name}.dvc"))
    return next(iter(_outs(pointer, None)), {})


def _made(path: Path) -> dict[str, Any]:
    whole = path.resolve()
    for folder in _folders(whole):
        stages = _yaml(folder / "dvc.lock").get("stages")
        for name, stage in stages.items() if isinstance(stages, dict) else ():
            for one in _outs(stage, whole.relative_to(folder).as_posix()):
                return {**one, "stage": str(name)}
    return {}


def _outs(content: Any, path: str | None) -> Iterator[dict[str, Any]]:
    outs = content.get("outs") if isinstance(content, dict) else None
    for one in outs if isinstance(outs, list) else ():
        if isinstance(one, dict) and path in (None, one.get("path")):
            yield {key: value for key, value in one.items() if key in _KEPT}


def _folders(path: Path) -> Iterator[Path]:
    """The file's folder and those above, up to the repository's root; none outside of a repository."""
    above = list(path.parents)
    root = next((place for place, one in enumerate(above) if (one / ".dvc").is_dir() or (one / ".git").exists()), -1)
    yield from above[: root + 1]


def _remote(path: Path) -> str:
    """The default remote's address, without a password."""
    for folder in _folders(path.resolve()):
        settings = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            settings.read(folder / ".dvc" / "config")
        except (configparser.Error, OSError, UnicodeError):
            return ""
        default = settings.get("core", "remote", fallback="").strip()
        for section in settings.sections():
            named = _SECTION.fullmatch(section)
            if named and named["name"] == default:
                return _without_password(settings.get(section, "url", fallback=""))
    return ""


def _without_password(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _yaml(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            return {}
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeError, yaml.YAMLError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
