"""`python tests/contract/server/models/make.py [--check]`: export small models with the real exporters.

The exporters weigh several hundred megabytes (CatBoost alone a hundred), so they are no part of the development
environment: the files they write, a few KB each, are kept here. Run it in an environment of its own:

    pip install -r requirements/exporters.txt

`NAME.onnx` is what the exporter wrote by default. `NAME.npz` holds rows (`input.NAME`) and the library's own answers
(`label`, `scores` or `number`). `versions.json` says what made them. `--check` exports again and compares answers:
run it when a new release of an exporter is out.
"""

import argparse
import importlib.metadata
import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
PACKAGES = ("scikit-learn", "skl2onnx", "onnxmltools", "lightgbm", "xgboost-cpu", "catboost", "onnx")
RANDOM = np.random.default_rng(0)
ROWS = RANDOM.standard_normal((200, 4)).astype(np.float32)
HOLES = np.where(RANDOM.random(ROWS.shape) < 0.2, np.float32(np.nan), ROWS)
BINARY = (ROWS[:, 0] + 0.2 * ROWS[:, 1] > 0).astype(int)
NAMED = np.where(BINARY, "leaves", "buys")
THREE = np.digitize(ROWS[:, 0], [-0.5, 0.5])
NUMBER = (2 * ROWS[:, 0] - ROWS[:, 1] ** 2).astype(np.float32)
KEPT = 20
Made = tuple[bytes, dict[str, Any]]


def classified(content: bytes, model: Any, rows: Any, **inputs: Any) -> Made:
    """With the labels and scores that the library gives."""
    labels = np.asarray(model.predict(rows)).reshape(-1)
    answers = {"label": labels.astype(str) if labels.dtype == object else labels, "scores": model.predict_proba(rows)}
    return content, {**{f"input.{name}": value for name, value in inputs.items()}, **answers}


def estimated(content: bytes, model: Any, rows: Any, **inputs: Any) -> Made:
    """With the numbers that the library gives."""
    return content, {
        **{f"input.{name}": value for name, value in inputs.items()},
        "number": np.asarray(model.predict(rows)).reshape(-1),
    }


def from_sklearn() -> dict[str, Made]:
    """skl2onnx, all options as they are by default."""
    import pandas
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    made = {}
    for name, model, rows, classes in (
        ("sklearn-logistic", LogisticRegression(), ROWS, NAMED),
        ("sklearn-forest", RandomForestClassifier(n_estimators=5, max_depth=4, random_state=0), ROWS, THREE),
        ("sklearn-boosting", HistGradientBoostingClassifier(max_iter=5, max_depth=3), HOLES, BINARY),
        ("sklearn-imputer", make_pipeline(SimpleImputer(), LogisticRegression()), HOLES, NAMED),
        ("sklearn-mlp", MLPClassifier((16,), max_iter=300, random_state=0), ROWS, THREE),
    ):
        content = to_onnx(model.fit(rows, classes), rows[:1]).SerializeToString()
        made[name] = classified(content, model, rows[:KEPT], X=rows[:KEPT])
    ridge = Ridge().fit(ROWS, NUMBER)
    made["sklearn-ridge"] = estimated(to_onnx(ridge, ROWS[:1]).SerializeToString(), ridge, ROWS[:KEPT], X=ROWS[:KEPT])
    texts = np.array(["Good wine", "bad beer", "very GOOD", "BAD thing"] * 5)
    words = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0] * 5)
    content = to_onnx(words, initial_types=[("text", StringTensorType([None]))]).SerializeToString()
    made["sklearn-tfidf"] = classified(content, words, texts, text=texts)
    table = pandas.DataFrame({"age": ROWS[:, 0], "city": np.where(ROWS[:, 1] > 0, "Kyiv", "Lviv")})
    mixed = make_pipeline(
        make_column_transformer((SimpleImputer(), ["age"]), (OneHotEncoder(handle_unknown="ignore"), ["city"])),
        LogisticRegression(),
    ).fit(table, NAMED)
    types = [("age", FloatTensorType([None, 1])), ("city", StringTensorType([None, 1]))]
    columns = {name: table[[name]].to_numpy()[:KEPT] for name in table}
    made["sklearn-columns"] = classified(
        to_onnx(mixed, initial_types=types).SerializeToString(),
        mixed,
        table[:KEPT],
        age=columns["age"],
        city=columns["city"].astype(str),
    )
    return made


def from_boosters() -> dict[str, Made]:
    """onnxmltools for LightGBM and XGBoost, CatBoost by itself."""
    import catboost
    import lightgbm
    import onnxmltools
    import xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    types = [("input", FloatTensorType([None, 4]))]
    small = {"n_estimators": 5, "max_depth": 3}
    light, xgb = onnxmltools.convert_lightgbm, onnxmltools.convert_xgboost
    made = {}
    for name, model, convert, classes in (
        ("lightgbm-classifier", lightgbm.LGBMClassifier(**small, verbose=-1), light, BINARY),
        ("xgboost-classifier", xgboost.XGBClassifier(**small), xgb, THREE),
    ):
        content = convert(model.fit(ROWS, classes), initial_types=types).SerializeToString()
        made[name] = classified(content, model, ROWS[:KEPT], input=ROWS[:KEPT])
    for name, model, convert in (
        ("lightgbm-regressor", lightgbm.LGBMRegressor(**small, verbose=-1), light),
        ("xgboost-regressor", xgboost.XGBRegressor(**small), xgb),
    ):
        content = convert(model.fit(ROWS, NUMBER), initial_types=types).SerializeToString()
        made[name] = estimated(content, model, ROWS[:KEPT], input=ROWS[:KEPT])
    few = {"iterations": 5, "depth": 3, "verbose": False, "allow_writing_files": False}
    for name, cat, target, gather in (
        ("catboost-classifier", catboost.CatBoostClassifier(**few), NAMED, classified),
        ("catboost-multiclass", catboost.CatBoostClassifier(**few), THREE, classified),
        ("catboost-regressor", catboost.CatBoostRegressor(**few), NUMBER, estimated),
    ):
        with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
            cat.fit(ROWS, target).save_model(file.name, format="onnx")
            made[name] = gather(Path(file.name).read_bytes(), cat, ROWS[:KEPT], features=ROWS[:KEPT])
    return made


def written(models: dict[str, Made]) -> None:
    """Keep the files and what made them."""
    for name, (content, arrays) in models.items():
        (HERE / f"{name}.onnx").write_bytes(content)
        np.savez_compressed(HERE / f"{name}.npz", **arrays)
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    (HERE / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


def drifted(models: dict[str, Made]) -> list[str]:
    """Models whose answers, inputs or outputs are others now than those of the kept files."""
    import onnxruntime

    def seen(content: bytes) -> tuple[Any, ...]:
        session = onnxruntime.InferenceSession(content)
        nodes = [*session.get_inputs(), *session.get_outputs()]
        return [(node.name, node.type, node.shape) for node in nodes]

    found = []
    for name, (content, arrays) in models.items():
        with np.load(HERE / f"{name}.npz") as kept:
            same = all(
                np.allclose(kept[key], arrays[key], equal_nan=True) for key in arrays if arrays[key].dtype.kind == "f"
            )
        texts = "tfidf" in name  # its locale is not on every machine
        if not same or (not texts and seen(content) != seen((HERE / f"{name}.onnx").read_bytes())):
            found.append(name)
    return found


def main() -> None:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = {**from_sklearn(), **from_boosters()}
    if not check:
        written(models)
    elif found := drifted(models):
        sys.exit(f"the exporters write other models now: {', '.join(found)}; run without --check and look at the tests")


if __name__ == "__main__":
    main()
