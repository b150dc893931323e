"""From a fitted model to a model package: what `seatrial pack` and `seatrial.pack(...)` do. Extra `seatrial[pack]`.

A tool on its user's own machine, where pickles may be read; the operator never imports it. Each module is one step:

    sources      what was given: an estimator, a file, an MLflow model
    tables       the data: read in pieces, sampled, its columns looked at
    originals    the model as its library answers
    layouts      columns of the data as tensors of the graph
    conversion   the library's model as a graph (with `boosters`; `graphs` for one that was given)
    comparing    the graph's answers against the library's
    choosing     the first conversion that answers as the model does
    describing   model.yaml
    targets      the column that says what is right
    pointers     what DVC knows of the data, runs what MLflow knows of the training
    splitting    which rows are for reference, calibration and holdout (`rows` makes tensors of them)
    expectations tests.yaml
    provenance   where everything came from
    archives     the package's bytes, the same for the same content
    pushing      to a store (with `registry`, `transport`)
    trying       the trial that the operator would run
    making       all of it in order; `outcome` is what is told of it

Libraries that models are made with are imported where they are needed, and only if the model is one of theirs.
"""

from seatrial.packing.errors import PackError
from seatrial.packing.making import pack
from seatrial.packing.outcome import Packed

__all__ = ["PackError", "Packed", "pack"]
