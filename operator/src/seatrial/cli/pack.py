"""`seatrial pack`: the command around `seatrial.packing`. Parses, prints, ends with 2 if something must be changed."""

from __future__ import annotations

from typing import NoReturn

import click

REFUSED = 2


@click.command()
@click.argument("model")
@click.option(
    "--data",
    required=True,
    metavar="FILE",
    help="Rows like those the model was made for: .csv, .csv.gz, .parquet; .npz for a graph that takes tensors.",
)
@click.option("--target", metavar="COLUMN", help="The column (or array) of the data that says what is right.")
@click.option(
    "-o", "--out", metavar="FILE", help="The package to write, such as churn-7.tar.gz.  [default: MODEL.tar.gz]"
)
@click.option("--holdout", metavar="FILE", help="Rows that the model was not fitted on.  [default: a part of --data]")
@click.option("--features", metavar="A,B,...", help="The model's columns in order, if it doesn't know their names.")
@click.option("--version", default="", help="A label for people.  [default: the 7 of churn-7.tar.gz]")
@click.option("--intended-use", default="", metavar="TEXT", help="What the model is for, for its card.")
@click.option(
    "--max-differing", default="0.1%", show_default=True, help="Rows whose answer the conversion may change, of all."
)
@click.option("--seed", default=0, show_default=True, help="Which rows are taken; the same seed takes the same.")
@click.option(
    "--push", default="", metavar="URI", help="Upload to s3://, gs://, az:// or oci://, and print the address."
)
@click.option("--try", "try_it", is_flag=True, help="Run the trial that the operator would run.")
def command(
    model: str,
    *,
    data: str,
    target: str | None,
    out: str | None,
    holdout: str | None,
    features: str | None,
    version: str,
    intended_use: str,
    max_differing: str,
    seed: int,
    push: str,
    try_it: bool,
) -> None:
    """Make a model package of a fitted model: convert it, compare its answers, describe it, write its tests.

    MODEL is a fitted scikit-learn estimator or pipeline (.joblib, .pkl), a model of XGBoost (.ubj, .json), LightGBM
    (.txt) or CatBoost (.cbm), a graph (.onnx), a folder of MLflow, or models:/name/version.

    \b
        seatrial pack model.joblib --data train.parquet --target churned -o churn-7.tar.gz --try

    READING A PICKLE (.joblib, .pkl, a folder of MLflow with one) RUNS WHATEVER CODE ITS AUTHOR PUT INTO IT, with your
    rights, on this machine. Pack only files of people you trust. The package has no pickle: clusters get the graph.

    Ends with 2 when the model, the data or an option has to be changed, and says which.
    """
    try:
        from seatrial import packing
    except ImportError as error:
        _refuse(f"{error}: pip install 'seatrial[pack]'")
    try:
        packed = packing.pack(
            model,
            data=data,
            target=target,
            out=out,
            holdout=holdout,
            features=features.split(",") if features else None,
            version=version,
            intended_use=intended_use,
            max_differing=_share(max_differing),
            seed=seed,
            push=push,
            try_it=try_it,
        )
    except packing.PackError as error:
        _refuse(str(error))
    click.echo(str(packed))


def _share(text: str) -> float:
    """A percentage or a number from 0 to 1."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise click.BadParameter(f"must be a percentage such as 0.1%, not {text!r}", param_hint="--max-differing")
    return share


def _refuse(message: str) -> NoReturn:
    click.echo(f"seatrial pack: {message}", err=True)
    raise SystemExit(REFUSED)
