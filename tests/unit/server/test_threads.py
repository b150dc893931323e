"""How many threads a model call gets: one, unless the model is slow and more CPUs are granted."""

from __future__ import annotations

from tests.unit.server import graphs

from seatrial_server.engine import warmup


def test_a_quick_model_stays_on_one_thread_whatever_is_granted() -> None:
    assert warmup.load(graphs.linear(), cpus=8).threads == 1


def test_a_model_that_takes_no_made_up_rows_stays_on_one_thread() -> None:
    assert warmup.load(graphs.lookup(size=0), cpus=2).threads == 1


def test_more_threads_are_not_taken_when_they_do_not_help() -> None:
    # A loop runs one step after the other: no number of threads makes it quicker.
    assert warmup.load(graphs.slow(20_000), cpus=2).threads == 1
