"""A table of customers and models fitted on it, as a data scientist would."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import yaml
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

NUMBERS = ["age", "income", "visits"]


def customers(rows: int = 900, *, seed: int = 0, holes: bool = False) -> pandas.DataFrame:
    """age, income, visits (whole numbers), city (text), churned (yes or no)."""
    random = np.random.default_rng(seed)
    age = random.integers(18, 90, rows)
    income = random.gamma(4, 10_000, rows).round(2)
    visits = random.poisson(3, rows)
    city = random.choice(["Kyiv", "Lviv", "Odesa"], rows)
    score = 0.04 * (age - 50) - 0.5 * (visits - 3) + (city == "Lviv") + random.normal(0, 0.5, rows)
    frame = pandas.DataFrame({"age": age, "income": income, "visits": visits, "city": city})
    if holes:
        frame.loc[random.random(rows) < 0.1, "income"] = np.nan
    frame["churned"] = np.where(score > 0.2, "yes", "no")
    return frame


def pipeline(frame: pandas.DataFrame) -> Any:
    """Mixed columns by name, as most people's models are."""
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        (OneHotEncoder(handle_unknown="ignore"), ["city"]),
    )
    return make_pipeline(columns, LogisticRegression()).fit(frame.drop(columns="churned"), frame["churned"])


def trees(frame: pandas.DataFrame) -> Any:
    """Numbers only."""
    return GradientBoostingClassifier(n_estimators=20, random_state=0).fit(frame[NUMBERS], frame["churned"])


def member(package: Path, name: str) -> bytes:
    """One file of the archive."""
    with tarfile.open(package) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()


def members(package: Path) -> dict[str, bytes]:
    """All files of the archive."""
    with tarfile.open(package) as archive:
        return {name: member(package, name) for name in archive.getnames()}


def card(package: Path) -> dict[str, Any]:
    """model.yaml."""
    found: dict[str, Any] = yaml.safe_load(member(package, "model.yaml"))
    return found
