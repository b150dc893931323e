"""Runs in the laptop's environment: `laptop_models.py CASE` fits one model, packs it with its trial, tells what came.

Writes JSON {trial, differing, inputs, card} to the last line of standard output, or {error}.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import random
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import yaml

import seatrial
from seatrial.packing import PackError

RANDOM = np.random.default_rng(0)
DATA = pandas.DataFrame(
    RANDOM.standard_normal((600, 4)).astype(np.float32), columns=["age", "income", "debt", "visits"]
)
COLUMNS = list(DATA.columns)
DATA["left"] = np.where(DATA["age"] + 0.2 * DATA["debt"] > 0, "leaves", "stays")
DATA["flag"] = (DATA["left"] == "leaves").astype(int)
DATA["grade"] = np.digitize(DATA["age"], [-0.5, 0.5])
DATA["worth"] = 2 * DATA["age"] - DATA["income"] ** 2
SMALL = {"n_estimators": 5, "max_depth": 3}
FEW: dict[str, Any] = {"iterations": 5, "depth": 3, "verbose": False, "allow_writing_files": False}


def xgboost_classifier() -> Any:
    import xgboost

    return xgboost.XGBClassifier(**SMALL).fit(DATA[COLUMNS], DATA["grade"]), "grade"


def xgboost_regressor() -> Any:
    import xgboost

    return xgboost.XGBRegressor(**SMALL).fit(DATA[COLUMNS], DATA["worth"]), "worth"


def xgboost_file() -> Any:
    model, target = xgboost_classifier()
    model.save_model("model.ubj")
    return "model.ubj", target


def lightgbm_classifier() -> Any:
    import lightgbm

    return lightgbm.LGBMClassifier(**SMALL, verbose=-1).fit(DATA[COLUMNS], DATA["left"]), "left"


def lightgbm_regressor() -> Any:
    import lightgbm

    return lightgbm.LGBMRegressor(**SMALL, verbose=-1).fit(DATA[COLUMNS].to_numpy(), DATA["worth"]), "worth"


def lightgbm_file() -> Any:
    import lightgbm

    model = lightgbm.LGBMClassifier(**SMALL, verbose=-1).fit(DATA[COLUMNS], DATA["flag"])
    model.booster_.save_model("model.txt")
    return "model.txt", "flag"


def lightgbm_in_a_pipeline() -> Any:
    import lightgbm
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), lightgbm.LGBMClassifier(**SMALL, verbose=-1))
    return model.fit(DATA[COLUMNS], DATA["grade"]), "grade"


def xgboost_in_a_pipeline() -> Any:
    import xgboost
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    return make_pipeline(SimpleImputer(), xgboost.XGBClassifier(**SMALL)).fit(DATA[COLUMNS], DATA["grade"]), "grade"


def catboost_classifier() -> Any:
    import catboost

    return catboost.CatBoostClassifier(**FEW).fit(DATA[COLUMNS], DATA["left"]), "left"


def catboost_regressor() -> Any:
    import catboost

    return catboost.CatBoostRegressor(**FEW).fit(DATA[COLUMNS], DATA["worth"]), "worth"


def catboost_file() -> Any:
    model, target = catboost_classifier()
    model.save_model("model.cbm")
    return "model.cbm", target


def catboost_of_categories() -> Any:
    import catboost

    data = DATA[COLUMNS].round().astype(int)
    return catboost.CatBoostClassifier(**FEW).fit(data, DATA["left"], cat_features=[0]), "left"


def mlflow_folder() -> Any:
    """With a pickle in it, as most people's are."""
    import mlflow.sklearn

    mlflow.sklearn.save_model(_linear(), "saved", serialization_format="cloudpickle")
    return "saved", "left"


def mlflow_registered() -> Any:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{Path.cwd()}/mlflow.db")
    with mlflow.start_run():
        mlflow.sklearn.log_model(_linear(), name="churn", registered_model_name="churn")
    return "models:/churn/1", "left"


def mlflow_served() -> Any:
    """From a tracking server, as teams have one, with what a run usually logs."""
    import mlflow

    mlflow.set_tracking_uri(_tracking_server())
    with mlflow.start_run():
        mlflow.log_params({"C": 0.5, "penalty": "l2"})
        mlflow.set_tag("mlflow.source.git.commit", "3f1c2d4")
        mlflow.log_input(
            mlflow.data.from_pandas(DATA, source="s3://datasets/churn.csv", name="churn"), context="training"
        )
        mlflow.sklearn.log_model(_linear(), name="churn", registered_model_name="churn")
    return "models:/churn/1", "left"


def _tracking_server() -> str:
    """Its address; it ends with this process."""
    port = _free_port()
    folder = Path.cwd()
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{folder}/served.db"),
            *("--artifacts-destination", f"{folder}/artifacts"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    atexit.register(server.terminate)
    give_up = time.monotonic() + 200
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return f"http://127.0.0.1:{port}"
        except OSError:
            assert server.poll() is None, "the tracking server has ended"
            assert time.monotonic() < give_up, "the tracking server does not answer"
            time.sleep(0.2)


def _free_port() -> int:
    """Below those that the kernel gives to clients, of which any may be taken before the server has started."""
    while True:
        port = random.randrange(15000, 30000)
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


def _linear() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(DATA[COLUMNS], DATA["left"])


def main(case: str) -> None:
    """One case."""
    model, target = globals()[case]()
    data = DATA[[*COLUMNS, target]]
    if case == "catboost_of_categories":
        data = pandas.concat([DATA[COLUMNS].round().astype(int), DATA[[target]]], axis=1)
    try:
        packed = seatrial.pack(model, data=data, target=target, out="m-7.tar.gz", try_it=True)
    except PackError as error:
        print(json.dumps({"error": str(error)}))
        return
    with tarfile.open(packed.path) as archive:
        file = archive.extractfile("model.yaml")
        assert file is not None
        card = yaml.safe_load(file)
    assert packed.trial is not None
    assert packed.difference is not None
    told = {"trial": packed.trial.message, "differing": packed.difference.differing, "findings": packed.findings}
    print(json.dumps({**told, "card": card}))


if __name__ == "__main__":
    main(sys.argv[1])
