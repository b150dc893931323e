"""The trial's first half, in containers of its own: they hold stores' credentials and never open the model.

The model comes first, by way 0; then what its tests ask for, each by the way that the operator gave it: datasets and
the stable version's package. A refusal is a verdict, not a failure: it is kept in the work folder for the second half.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from seatrial_server.artifact import datasets, fetch, stages
from seatrial_server.host import config, errors, sandbox
from seatrial_server.trial import baseline

_FILE = "refusal.json"
_STABLE_FILE = "stable-refusal.json"


class Refusal(msgspec.Struct, frozen=True):
    """Why these bytes can't be had."""

    reason: errors.Reason
    message: str


def fetch_all(settings: config.Config, work: Path, *, way: int = 0) -> None:
    """Leave what comes by this way in `work`, or a refusal. `Unavailable` passes through."""
    if way == 0:
        for name in (_FILE, _STABLE_FILE):
            (work / name).unlink(missing_ok=True)
    if (work / _FILE).is_file():  # the verdict is there
        return
    try:
        if way == 0:
            stages.fetch_package(settings, work)
        _fetch_beside(settings, work, way=way)
    except errors.Rejected as error:
        (work / _FILE).write_bytes(msgspec.json.encode(Refusal(reason=error.reason, message=str(error))))


def _fetch_beside(settings: config.Config, work: Path, *, way: int) -> None:
    known = settings.trial.stable
    stable = known if known is not None and known.way == way and known.sha256 != settings.model.sha256 else None
    offered = [one for one in settings.trial.datasets if one.way == way]
    if stable is None and not offered:
        return
    needed = sandbox.call("seatrial_server.trial.checks:needed", {"package_folder": str(work / "package")})
    for one in offered:
        if one.name in needed["datasets"]:
            _fetch_dataset(one, work, max_bytes=settings.max_artifact_bytes)
    if stable is not None and needed["stable"]:
        _fetch_stable(stable, work, max_bytes=settings.max_artifact_bytes)


def _fetch_dataset(one: config.Dataset, work: Path, *, max_bytes: int) -> None:
    folder, field = datasets.folder_of(work), f"spec.trial.datasets {one.name!r}"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{one.name}.npz"
    target.unlink(missing_ok=True)
    try:
        fetch.download(one.uri, target=target, sha256=one.sha256, max_bytes=max_bytes, field=field)
    except errors.Rejected as error:
        raise errors.Rejected(error.reason, f"{field}: {error}") from error


def _fetch_stable(stable: config.Stable, work: Path, *, max_bytes: int) -> None:
    """A stable version that is gone from its store is no verdict yet: maybe no test gets as far as asking for it."""
    try:
        stages.fetch_unpacked(stable.uri, stable.sha256, target=baseline.folder_of(work), max_bytes=max_bytes)
    except errors.Rejected as error:
        refusal = Refusal(reason="BaselineUnavailable", message=str(error))
        (work / _STABLE_FILE).write_bytes(msgspec.json.encode(refusal))


def check(work: Path) -> None:
    """Raises `Rejected` as `fetch_all` found it, `Unavailable` when nothing was fetched at all."""
    if (found := _refusal(work / _FILE)) is not None:
        raise errors.Rejected(found.reason, found.message)
    if not (work / "package").is_dir():
        raise errors.Unavailable(f"nothing was fetched into {work}: run `seatrial-server fetch --for-trial` before")


def stable(settings: config.Config, work: Path) -> baseline.Known | None:
    """The stable version as it can be compared with."""
    known, refused = settings.trial.stable, _refusal(work / _STABLE_FILE)
    if known is None:
        return None
    return baseline.Known(version=known.version, sha256=known.sha256, refusal=refused.message if refused else "")


def _refusal(path: Path) -> Refusal | None:
    return msgspec.json.decode(path.read_bytes(), type=Refusal) if path.is_file() else None
