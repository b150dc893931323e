"""`provenance` of model.yaml as the card tells it. Pure.

People write it and `seatrial pack` does, so it is read leniently: what has another form is left out.
Every part is a place with a digest: data, code, environment, the training run (MLflow), data under DVC, the parent.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

_HEX = re.compile(r"[0-9a-f]{64}")
_MOST = 50
_LONGEST = 500
_SAFE = ":/?#[]@!$&'()*+,;=%-._~"
_CHARACTER = r"(?:[\w.~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_NO_COLON = r"(?:[\w.~!$&'()*+,;=@-]|%[0-9A-Fa-f]{2})"
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[\w.~-]*)(?::\d*)?"
_REFERENCE = re.compile(
    rf"(?:[A-Za-z][A-Za-z0-9+.-]*:(?://(?:[\w.~:-]+@)?{_HOST}(?:/{_CHARACTER}*)*|/?{_CHARACTER}+(?:/{_CHARACTER}*)*)"
    rf"|/?{_NO_COLON}+(?:/{_CHARACTER}*)*|)(?:\?(?:{_CHARACTER}|[/?])*)?(?:#(?:{_CHARACTER}|[/?])*)?",
    re.ASCII,
)
"""What RFC 3986 takes, but for some oddities, after escaping."""


class Data(msgspec.Struct, frozen=True):
    """Rows for a purpose. `more` is whatever else is said of them, in plain words."""

    purpose: str
    uri: str = ""
    sha256: str = ""
    more: tuple[tuple[str, str], ...] = ()


class Lineage(msgspec.Struct, frozen=True):
    """What is known; empty where nothing is said."""

    data: tuple[Data, ...] = ()
    code_uri: str = ""
    code_revision: str = ""
    dirty: bool = False
    parameters: tuple[tuple[str, str], ...] = ()
    environment: str = ""
    environment_sha256: str = ""
    library: str = ""
    run: tuple[tuple[str, str], ...] = ()
    parent: tuple[tuple[str, str], ...] = ()


def read(provenance: Mapping[str, Any], hyperparameters: Mapping[str, Any]) -> Lineage:
    """The known parts of it; anything of another form is left out."""
    code, environment, model = (_map(provenance.get(name)) for name in ("code", "environment", "model"))
    run = _map(provenance.get("mlflow")) or _map(provenance.get("run"))
    parameters = hyperparameters or _map(run.get("parameters")) or _map(model.get("parameters"))
    return Lineage(
        data=(*_data(provenance), *_of_run(run)),
        code_uri=address(_text(code.get("uri"))),
        code_revision=_text(code.get("revision")),
        dirty=code.get("dirty") is True,
        parameters=_pairs(parameters),
        environment=" ".join(filter(None, (_text(environment.get("python")), _text(environment.get("file"))))),
        environment_sha256=digest(environment.get("sha256")),
        library=_text(model.get("library")) or _text(model.get("class")),
        run=_pairs({name: value for name, value in run.items() if not isinstance(value, dict | list)}),
        parent=_pairs(_map(provenance.get("parent"))),
    )


def address(text: str) -> str:
    """As a reference that every reader takes: `git@host:path` as ssh, spaces and the like escaped."""
    user, colon, path = text.partition(":")
    if colon and "@" in user and "/" not in user:
        text = f"ssh://{user}/{path}"
    escaped = urllib.parse.quote(text, safe=_SAFE, errors="replace")
    return escaped if _REFERENCE.fullmatch(escaped) else urllib.parse.quote(text, safe="", errors="replace")


def _data(provenance: Mapping[str, Any]) -> Iterator[Data]:
    for purpose, key in (("training", "data"), ("holdout", "holdout"), ("reference", "reference")):
        found = provenance.get(key)
        for one in found[:_MOST] if isinstance(found, list) else [found]:
            told = {"uri": one} if isinstance(one, str) else _map(one)
            if not told:
                continue
            known = ("uri", "sha256", "purpose", "dvc")
            more = {name: value for name, value in told.items() if name not in known}
            more |= {f"dvc {name}": value for name, value in _map(told.get("dvc")).items()}
            yield Data(
                purpose=_text(told.get("purpose")) or purpose,
                uri=address(_text(told.get("uri"))),
                sha256=digest(told.get("sha256")),
                more=_pairs(more),
            )


def _of_run(run: Mapping[str, Any]) -> Iterator[Data]:
    """What a run of MLflow has logged; its digests are no SHA-256 of bytes."""
    found = run.get("datasets")
    for one in found[:_MOST] if isinstance(found, list) else ():
        told = _map(one)
        more = {name: told[name] for name in ("name", "digest") if name in told}
        yield Data(
            purpose=_text(told.get("context")) or "run", uri=address(_text(told.get("source"))), more=_pairs(more)
        )


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _pairs(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((str(name)[:_LONGEST], _text(value)) for name, value in list(values.items())[:_MOST])


def _text(value: Any) -> str:
    return "" if value is None else str(value)[:_LONGEST]


def digest(value: Any) -> str:
    """A SHA-256, or nothing."""
    return value if isinstance(value, str) and _HEX.fullmatch(value) else ""
