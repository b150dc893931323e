"""Where everything came from: data by its digest, code by its commit, the model's parameters, the environment.

Only what identifies bytes, nothing of this machine or this moment: the same inputs give the same package. What isn't
under version control, or not by these tools, is left out.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seatrial.packing import pointers, sources, tables

ENVIRONMENT = "environment.txt"
_MOST_PARAMETERS = 200
_LONGEST = 200


def environment() -> str:
    """Every distribution of this environment with its version, as pip reads it; Python's is in the first line."""
    found = {f"{one.name}=={one.version}" for one in importlib.metadata.distributions() if one.name and one.version}
    return f"# Python {platform.python_version()}\n" + "".join(f"{line}\n" for line in sorted(found, key=str.lower))


def collect(
    *, model: sources.Given, data: tables.Table, holdout: tables.Table | None, code: Path, environment: str
) -> dict[str, Any]:
    """The part `provenance` of model.yaml. `code`: a folder inside the repository that made the model."""
    found: dict[str, Any] = {"model": _model(model), "data": _data(data)}
    if holdout is not None:
        found["holdout"] = _data(holdout)
    if repository := _repository(code):
        found["code"] = repository
    digest = hashlib.sha256(environment.encode()).hexdigest()
    found["environment"] = {"python": platform.python_version(), "file": ENVIRONMENT, "sha256": digest}
    facts = dict(model.facts)
    run = facts.get("mlflow", {})
    if "code" not in found and "code" in run:  # the run's own commit, where this folder is under no version control
        found["code"] = run["code"]
    return found | facts


def _model(model: sources.Given) -> dict[str, Any]:
    if model.estimator is None:
        return {"from": model.origin, "sha256": hashlib.sha256(model.graph).hexdigest()}
    kind = type(model.estimator)
    library = kind.__module__.partition(".")[0]
    return {
        "from": model.origin,
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "library": f"{library} {_version(library)}".rstrip(),
        "parameters": parameters(model.estimator),
    }


def parameters(estimator: sources.Estimator) -> dict[str, Any]:
    """Plain values as they are; of anything else its type, for its text may have a memory address in it."""
    asked = getattr(estimator, "get_params", None)
    given: Mapping[str, Any] = asked() if callable(asked) else getattr(estimator, "params", {})
    told = {str(key): _plain(value) for key, value in sorted(given.items(), key=lambda item: str(item[0]))}
    return dict(list(told.items())[:_MOST_PARAMETERS])


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value == value else "nan"
    return value[:_LONGEST] if isinstance(value, str) else type(value).__name__


def _version(library: str) -> str:
    names = importlib.metadata.packages_distributions().get(library, [])
    return importlib.metadata.version(names[0]) if names else ""


def _data(data: tables.Table) -> dict[str, Any]:
    path = Path(data.origin)
    told: dict[str, Any] = {
        "uri": path.name if path.is_file() else data.origin,
        "sha256": data.sha256,
        "rows": data.rows,
    }
    if path.is_file() and (known := pointers.of(path)):
        told["dvc"] = known
    return told


def _repository(folder: Path) -> dict[str, Any]:
    """The commit, whether files differ from it, and where it was fetched from.

    New files don't count: the package itself may be one.
    """
    revision = _git(folder, "rev-parse", "HEAD")
    if not revision:
        return {}
    told: dict[str, Any] = {
        "revision": revision,
        "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no")),
    }
    origin = _git(folder, "config", "--get", "remote.origin.url")
    user, at, rest = origin.rpartition("@")
    scheme, mark, _ = user.partition("://")
    return ({"uri": f"{scheme}://{rest}" if at and mark else origin} if origin else {}) | told


def _git(folder: Path, *arguments: str) -> str:
    try:
        return subprocess.run(  # noqa: S603  # fixed words only
            ["git", "-C", str(folder), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
