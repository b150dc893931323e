"""`pack`: all steps in order, from what was given to a file, a trial and a push. What each does is in its module."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from seatrial.packing import (
    archives,
    choosing,
    describing,
    errors,
    expectations,
    originals,
    outcome,
    provenance,
    pushing,
    rows,
    sources,
    tables,
    targets,
    trying,
)

MAX_DIFFERING = 0.001
_SUFFIX = ".tar.gz"


def pack(
    model: Any,
    *,
    data: Any,
    target: str | None = None,
    out: str | Path | None = None,
    holdout: Any = None,
    features: Sequence[str] | None = None,
    version: str = "",
    intended_use: str = "",
    max_differing: float = MAX_DIFFERING,
    seed: int = 0,
    push: str = "",
    try_it: bool = False,
) -> outcome.Packed:
    """Make a model package of a fitted model.

    Args:
        model: a fitted estimator (scikit-learn, XGBoost, LightGBM, CatBoost), the path of one (.joblib, .pkl, .onnx,
            .ubj, .txt, .cbm), a folder of MLflow or `models:/name/version`. Reading a pickle runs its author's code.
        data: rows like those the model was made for: a DataFrame, or the path of a .csv or .parquet file.
        target: the data's column with what is right.
        out: the file to write; default: the model's name with .tar.gz.
        holdout: rows that the model was not fitted on; default: a part of the data.
        features: the model's columns in order, where it doesn't know their names and the data has others.
        version: for people; default: what follows the last `-` of `out`, such as 7 of churn-7.tar.gz.
        intended_use: a sentence for the model's card.
        max_differing: the share of rows whose answer the conversion may change.
        seed: which rows are taken.
        push: s3://, gs://, az:// or oci:// address to upload to.
        try_it: run the trial that the operator would run.

    Raises:
        PackError: says what to change.
    """
    path = _path(out, model)
    if push:
        pushing.check(push)
    given = sources.given(model)
    original = None if given.estimator is None else originals.Original(given.estimator)
    names = tables.names(data)
    targets.check(target, names=names, original=original)
    columns = choosing.columns_of(original, names, target, features)
    table = _read(data, columns, target, seed=seed)
    held_out = None if holdout is None else _read(holdout, columns, target, seed=seed)
    made = choosing.choose(original, given, columns, table, target, max_differing=max_differing)
    environment = provenance.environment()
    said = describing.Description(
        task=made.task,
        classes=made.classes if made.named else (),
        columns=table.columns,
        closed=choosing.closed(original, columns, table),
        intended_use=intended_use,
        provenance=provenance.collect(
            model=given, data=table, holdout=held_out, code=Path.cwd(), environment=environment
        ),
    )
    gathered = rows.gather(made, table, held_out, target=target, seed=seed)
    files = {**_files(made, said, gathered), provenance.ENVIRONMENT: environment.encode()}
    content = archives.archive(files)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    packed = outcome.Packed(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        version=version or _version(path),
        findings=tuple(outcome.findings(given, made, table, gathered, target=target, own=held_out is not None)),
        difference=made.difference,
    )
    return _delivered(packed, push=push, try_it=try_it)


def _delivered(packed: outcome.Packed, *, push: str, try_it: bool) -> outcome.Packed:
    """Tried before it is pushed: what fails its trial stays here."""
    if try_it:
        name = packed.path.name.removesuffix(_SUFFIX)
        found = trying.run(packed.path, name=name, version=packed.version)
        packed = msgspec.structs.replace(packed, trial=found)
    return msgspec.structs.replace(packed, uri=pushing.push(packed.path, push)) if push else packed


def _path(out: str | Path | None, model: Any) -> Path:
    if out is None:
        stem = Path(model).stem if isinstance(model, str | Path) and "://" not in str(model) else type(model).__name__
        stem = str(model).partition(":/")[2].replace("/", "-") if str(model).startswith("models:/") else stem
        return Path(f"{stem.lower()}{_SUFFIX}")
    path = Path(out)
    if not path.name.endswith(_SUFFIX):
        raise errors.BadInput(f"-o {path}: the package is a {_SUFFIX}: give it that ending, such as churn-7{_SUFFIX}")
    return path


def _version(path: Path) -> str:
    found = re.search(r"-v?(\d[\w.]*)\.tar\.gz$", path.name)
    return found[1] if found else ""


def _read(data: Any, columns: tuple[str, ...], target: str | None, *, seed: int) -> tables.Table:
    wanted = [*columns, *([target] if target else [])]
    absent = [name for name in wanted if name not in tables.names(data)]
    if absent:
        raise errors.BadInput(f"the holdout data lacks {errors.named(absent)}")
    return tables.read(data, columns=wanted, seed=seed)


def _files(made: choosing.Model, said: describing.Description, gathered: rows.Rows) -> dict[str, bytes]:
    described = describing.features(made.converted.layout, said)
    tests = expectations.document(gathered.shown, described=described)
    files = {
        "model.onnx": made.converted.content,
        "model.yaml": archives.document(describing.card(made.converted, said)),
        "reference.npz": archives.rows(gathered.reference),
        "calibration.npz": archives.rows(gathered.calibration),
        "tests.yaml": tests.encode(),
    }
    if gathered.labels is not None and len(gathered.labels):
        files["holdout.npz"] = archives.rows({**gathered.shown.feeds, "label": gathered.labels})
    return files
