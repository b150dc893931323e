"""Handwritten digits (scikit-learn's copy of the UCI set) and the honest classifiers trained on them.

Rows are 64 pixels from 0 to 16. The split is fixed: what a model trains on never appears among its tests or in traffic.
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import threadpoolctl
from sklearn import datasets, linear_model, model_selection, neural_network, pipeline, preprocessing

Rows = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

SIDE = 8
PIXELS = SIDE * SIDE
WHITE = 16.0
CLASSES = 10
NOISE = 0.25
"""By how much traffic differs from the rows here, up or down, where there is ink: no two requests are equal."""
FAINT = 0.2
"""Of its ink, what is left of a digit once the scanner has got another lamp."""
PILOT_ROWS = 150
# Wide enough that int8 pays off in batches of one: a 256-128 network answers in 11 us as fp32 and in 19 us as int8.
HIDDEN = (1024, 512)


class Split(msgspec.Struct, frozen=True):
    """Rows to learn from and rows held out for tests and traffic, each with its labels."""

    train: Rows
    train_labels: Labels
    held_out: Rows
    held_out_labels: Labels


@functools.cache
def split() -> Split:
    rows, labels = datasets.load_digits(return_X_y=True)
    train, held_out, train_labels, held_out_labels = model_selection.train_test_split(
        rows.astype(np.float32), labels.astype(np.int64), test_size=0.4, random_state=0, stratify=labels
    )
    return Split(train, train_labels, held_out, held_out_labels)


def features() -> list[dict[str, Any]]:
    """The columns as model.yaml names them: pixels line by line, each from 0 to 16."""
    return [{"name": f"pixel-{at // SIDE}-{at % SIDE}", "range": [0.0, WHITE]} for at in range(PIXELS)]


def noisy(rows: Rows, *, seed: int = 0) -> Rows:
    """As traffic brings them: see tests/cluster/client/rows.py."""
    noise = np.random.default_rng(seed).uniform(-NOISE, NOISE, rows.shape)
    return np.where(rows > 0, np.clip(rows + noise, 0, WHITE), rows).astype(np.float32)


def faint(rows: Rows) -> Rows:
    return (rows * FAINT).astype(np.float32)


def linear() -> pipeline.Pipeline:
    """A logistic regression from a pilot's few rows: decent, and what v2 improves on."""
    data = split()
    model = pipeline.make_pipeline(linear_model.LogisticRegression(C=0.01, max_iter=2000))
    with threadpoolctl.threadpool_limits(1):
        return model.fit(data.train[:PILOT_ROWS], data.train_labels[:PILOT_ROWS])


def whatever_the_ink() -> pipeline.Pipeline:
    """Learned anew, from digits as they were and as they come now: each is divided by its darkest pixel first."""
    data = split()
    rows = noisy(np.concatenate([data.train, faint(data.train)]))
    model = pipeline.make_pipeline(
        preprocessing.Normalizer("max"), linear_model.LogisticRegression(C=10.0, max_iter=500)
    )
    with threadpoolctl.threadpool_limits(1):
        return model.fit(rows, np.concatenate([data.train_labels] * 2))


def network(*, seed: int) -> pipeline.Pipeline:
    """A multi-layer perceptron on all training rows. One BLAS thread: sums in the same order give the same weights."""
    data = split()
    perceptron = neural_network.MLPClassifier(
        HIDDEN, max_iter=300, alpha=1e-3, tol=1e-3, n_iter_no_change=5, random_state=seed
    )
    model = pipeline.make_pipeline(preprocessing.MinMaxScaler(), perceptron)
    with threadpoolctl.threadpool_limits(1):
        return model.fit(data.train, data.train_labels)
