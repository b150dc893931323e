"""What was given: an estimator in memory, a file of one, a graph, or an MLflow model.

Reading a pickle runs whatever code its author put into it; it happens here, on the user's machine, and nowhere else.
Knows nothing of the data.
"""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from seatrial.packing import errors, runs

Estimator = Any
"""Anything with `predict`; the libraries share no type."""
_KNOWN = (
    ".joblib, .pkl, .skops, .onnx, .ubj, .json (XGBoost), .txt (LightGBM), .cbm (CatBoost), a folder of MLflow, "
    "models:/name/version"
)
_MLFLOW_FILES: Mapping[str, tuple[str, ...]] = {
    "sklearn": ("pickled_model", "model.pkl"),
    "xgboost": ("data", "model.ubj"),
    "lightgbm": ("data", "model.txt"),
    "catboost": ("data", "model.cbm"),
    "onnx": ("data", "model.onnx"),
}
"""Flavors by preference: the entry of the flavor that names the file, and its usual name."""


class Given(msgspec.Struct, frozen=True):
    """Either `estimator` or `graph`. `notes` are for the user, `facts` for the provenance."""

    origin: str
    estimator: Estimator = None
    graph: bytes = b""
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = {}


def given(model: Any) -> Given:
    """The model, whatever it was given as.

    Raises:
        BadInput: it can't be read here; the message says with what it could.
    """
    if isinstance(model, str) and model.startswith(("models:/", "runs:/")):
        return _registered(model)
    if isinstance(model, str | Path):
        path = Path(model)
        if not path.exists():
            raise errors.BadInput(f"{path}: there is no such file: give a model as {_KNOWN}")
        return _folder(path) if path.is_dir() else _file(path)
    if hasattr(model, "SerializeToString") and hasattr(model, "graph"):
        return Given(origin="a graph in memory", graph=model.SerializeToString(deterministic=True))
    if not callable(getattr(model, "predict", None)):
        raise errors.BadInput(f"a {type(model).__name__} is no model: give a fitted estimator or the path of one")
    return Given(origin=f"a {type(model).__name__} in memory", estimator=_fitted(model))


def _file(path: Path) -> Given:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise errors.BadInput(f"{path}: the kind of model is told by the file's name: give {_KNOWN}")
    return reader(path)


def _graph(path: Path) -> Given:
    return Given(origin=path.name, graph=path.read_bytes())


def _pickled(path: Path) -> Given:
    """A joblib file or any pickle."""
    joblib = errors.needed("joblib", why=str(path))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = joblib.load(path)
        except (ImportError, AttributeError) as error:
            missing = error.name or "something"
            raise errors.BadInput(
                f"{path} was written with {missing}, which isn't installed here or has changed since: install what "
                f"the model was made with ({error})"
            ) from error
        except Exception as error:  # a pickle may raise anything
            raise errors.BadInput(
                f"{path} cannot be read: {type(error).__name__}: {error}: if it is a model, read it with the Python "
                f"and the library's version that wrote it (here {_versions()})"
            ) from error
    if not callable(getattr(model, "predict", None)):
        raise errors.BadInput(f"{path} holds a {type(model).__name__}, which is no model: save the fitted estimator")
    return Given(origin=path.name, estimator=_fitted(model), notes=_of_versions(path, caught))


def _of_skops(path: Path) -> Given:
    """No pickle, and only types of libraries that skops knows are made of it."""
    io = errors.needed("skops.io", why=str(path))
    try:
        return Given(origin=path.name, estimator=_fitted(io.load(path)))
    except errors.PackError:
        raise
    except Exception as error:  # of whatever it holds
        raise errors.BadInput(f"{path} cannot be read: {error}: pack the estimator from memory instead") from error


def _of_versions(path: Path, caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """scikit-learn warns of pickles of other releases; from newer ones they may answer anything."""
    for warning in caught:
        written = getattr(warning.message, "original_sklearn_version", None)
        if written is None:
            continue
        here = importlib.metadata.version("scikit-learn")
        if _number(written) > _number(here):
            raise errors.BadInput(
                f"{path} was written with scikit-learn {written}, here is {here}, which may read it wrongly: "
                f"pip install scikit-learn=={written}"
            )
        return (f"written with scikit-learn {written}, read with {here}: the same release is safer",)
    return ()


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def _versions() -> str:
    found = (f"{name} {importlib.metadata.version(name)}" for name in ("scikit-learn", "joblib", "numpy"))
    return ", ".join(found)


def _fitted(model: Estimator) -> Estimator:
    """A search's best estimator; refuses one that was never fitted."""
    if hasattr(model, "best_estimator_"):
        return model.best_estimator_
    if type(model).__module__.startswith("sklearn."):
        from sklearn import exceptions
        from sklearn.utils import validation

        try:
            validation.check_is_fitted(model)
        except exceptions.NotFittedError as error:
            raise errors.BadInput(f"the {type(model).__name__} isn't fitted: call fit first, then pack it") from error
    return model


def _xgboost(path: Path) -> Given:
    library = errors.needed("xgboost", why=str(path))
    booster = library.Booster()
    _load(booster.load_model, path)
    objective = yaml.safe_load(booster.save_config())["learner"]["objective"]["name"]
    kind = library.XGBClassifier if objective.startswith(("binary:", "multi:")) else library.XGBRegressor
    model = kind()
    _load(model.load_model, path)
    return Given(origin=path.name, estimator=model)


def _lightgbm(path: Path) -> Given:
    library = errors.needed("lightgbm", why=str(path))
    return Given(origin=path.name, estimator=_load(lambda name: library.Booster(model_file=name), path))


def _catboost(path: Path) -> Given:
    library = errors.needed("catboost", why=str(path))
    for kind in (library.CatBoostClassifier, library.CatBoostRegressor):
        try:
            return Given(origin=path.name, estimator=kind().load_model(str(path)))
        except library.CatBoostError as error:
            failure = error
    raise errors.BadInput(f"{path} cannot be read by CatBoost: {failure}") from failure


def _load(load: Callable[[str], Any], path: Path) -> Any:
    try:
        return load(str(path))
    except Exception as error:  # each library has exceptions of its own
        raise errors.BadInput(f"{path} cannot be read as a model of its library: {error}") from error


def _registered(uri: str) -> Given:
    mlflow = errors.needed("mlflow", why=uri)
    try:
        folder = mlflow.artifacts.download_artifacts(uri)
    except Exception as error:  # whatever its stores raise
        raise errors.BadInput(
            f"{uri}: MLflow has no such model: check MLFLOW_TRACKING_URI and the name: {error}"
        ) from error
    found = _folder(Path(folder))
    known = {**found.facts["mlflow"], "uri": uri}
    if "run" in known:
        known |= runs.of(mlflow.MlflowClient(), known["run"])
    return msgspec.structs.replace(found, origin=uri, facts={**found.facts, "mlflow": known})


def _folder(path: Path) -> Given:
    description = path / "MLmodel"
    if not description.is_file():
        raise errors.BadInput(f"{path} is a folder without the file MLmodel: give {_KNOWN}")
    told = yaml.safe_load(description.read_text())
    flavors: dict[str, Any] = told.get("flavors") or {}
    flavor = next((name for name in _MLFLOW_FILES if name in flavors), None)
    if flavor is None:
        raise errors.BadInput(
            f"{path} has the flavors {errors.named(flavors)}: log the model with one of {errors.named(_MLFLOW_FILES)}"
        )
    entry, usual = _MLFLOW_FILES[flavor]
    found = _file(path / str(flavors[flavor].get(entry) or usual))
    run = {"flavor": flavor, "run": told.get("run_id"), "model": told.get("model_uuid") or told.get("model_id")}
    facts = {"mlflow": {key: value for key, value in run.items() if value}}
    return msgspec.structs.replace(found, origin=path.name, facts={**found.facts, **facts})


_READERS: Mapping[str, Callable[[Path], Given]] = {
    **dict.fromkeys((".joblib", ".pkl", ".pickle"), _pickled),
    ".skops": _of_skops,
    ".onnx": _graph,
    **dict.fromkeys((".ubj", ".json", ".xgb"), _xgboost),
    **dict.fromkeys((".txt", ".lgb"), _lightgbm),
    **dict.fromkeys((".cbm", ".cb"), _catboost),
}
