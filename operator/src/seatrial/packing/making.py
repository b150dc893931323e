"""`pack`: all steps in order, from what was given to a file, a trial and a push. What each does is in its module."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from seatrial.packing import (
    archives,
    choosing,
    describing,
    errors,
    expectations,
    layouts,
    originals,
    outcome,
    provenance,
    pushing,
    rows,
    sources,
    tables,
    targets,
    tensors,
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
        data: rows like those the model was made for: a DataFrame, or the path of a .csv or .parquet file; for a graph
            that takes tensors an .npz file or a dict of arrays.
        target: the data's column (or array) with what is right.
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
    if tensors.takes(data):
        if holdout is not None or features:
            raise errors.BadInput(
                "with arrays there is no --holdout and no --features: put an array 'label' beside them"
            )
        files, found = _of_tensors(
            given, data, target=target, intended_use=intended_use, max_differing=max_differing, seed=seed
        )
        return _delivered(_written(path, files, found, version=version), push=push, try_it=try_it)
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
    if any(one.name == "label" for one in made.converted.layout.inputs):
        raise errors.BadInput("a column is called 'label', as the right answers of holdout.npz are: rename it")
    gathered = rows.gather(made, table, held_out, target=target, seed=seed)
    files = _files(made, said, gathered, environment=environment, max_differing=max_differing)
    found = outcome.findings(given, made, table, gathered, target=target, own=held_out is not None)
    packed = _written(path, files, found, version=version)
    packed = msgspec.structs.replace(packed, difference=made.difference)
    return _delivered(packed, push=push, try_it=try_it)


def _of_tensors(
    given: sources.Given, data: Any, *, target: str | None, intended_use: str, max_differing: float, seed: int
) -> tuple[dict[str, bytes], list[str]]:
    """The files and what is to be said of them."""
    if not given.graph:
        raise errors.BadInput(
            f"{given.origin} takes a table: give its data as .csv, .parquet or a DataFrame, not arrays"
        )
    graph, environment = tensors.Graph(given.graph), provenance.environment()
    rows_ = tensors.read(data, graph, target=target)
    made = tensors.files(given.graph, graph, rows_, max_differing=max_differing, seed=seed)
    known = provenance.collect(model=given, data=rows_.table, holdout=None, code=Path.cwd(), environment=environment)
    card = archives.document(tensors.card(rows_, provenance=known, intended_use=intended_use))
    files = {**made.files, "model.yaml": card, provenance.ENVIRONMENT: environment.encode()}
    return files, [f"model: {given.origin}", *(f"note: {note}" for note in given.notes), *made.findings]


def _written(path: Path, files: Mapping[str, bytes], found: Sequence[str], *, version: str) -> outcome.Packed:
    content = archives.archive(files)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return outcome.Packed(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        version=version or _version(path),
        findings=tuple(found),
    )


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


def _expected(gathered: rows.Rows) -> layouts.Feeds:
    """The model's own answers as arrays beside the inputs, but for one that is called like an input."""
    named = {f"{expectations.EXPECTED}{name}": array for name, array in gathered.expected.outputs.items()}
    return {name: array for name, array in named.items() if name not in gathered.reference}


def _files(
    made: choosing.Model, said: describing.Description, gathered: rows.Rows, *, environment: str, max_differing: float
) -> dict[str, bytes]:
    described = describing.features(made.converted.layout, said)
    expected, differing = _expected(gathered), max(max_differing, gathered.expected.differing)
    parity = expectations.Parity.of(expected, differing=differing)
    tests = expectations.document(gathered.shown, described=described, parity=parity)
    files = {
        "model.onnx": made.converted.content,
        "model.yaml": archives.document(describing.card(made.converted, said)),
        "reference.npz": archives.rows({**expected, **gathered.reference}),
        "calibration.npz": archives.rows(gathered.calibration),
        "tests.yaml": tests.encode(),
        provenance.ENVIRONMENT: environment.encode(),
    }
    if gathered.labels is not None and len(gathered.labels):
        files["holdout.npz"] = archives.rows({**gathered.shown.feeds, "label": gathered.labels})
    return files
