"""Property of the trial over many random models and packages: it ends in a verdict, and the verdict is true."""

import concurrent.futures
import multiprocessing
import os
import sys

import click
from tests.contract.server import odd


@click.command()
@click.option("--count", default=2000, show_default=True)
@click.option("--start", default=0, show_default=True, help="The first seed.")
def command(count: int, start: int) -> None:
    """Random models x random packages: no broken trial, no untrue verdict."""
    seeds, bad = range(start, start + count), 0
    spawn = multiprocessing.get_context("spawn")  # sessions of ONNX Runtime do not survive a fork
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), mp_context=spawn) as pool:
        for seed, fault in zip(seeds, pool.map(odd.examined, seeds, chunksize=4), strict=True):
            if fault:
                bad += 1
                click.echo(f"seed {seed}: {fault}")
    click.echo(f"trials: {count} cases, {bad} wrong")
    if bad:
        sys.exit("trials: see the seeds above")
