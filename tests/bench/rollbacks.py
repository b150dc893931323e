"""`python -m tests.bench rollbacks`: the same bad version again and again on the test cluster, and how long each
rollback took from the visible breach to no traffic.
"""

from __future__ import annotations

import copy
import statistics

import click
from tests.cluster import installation, watching

NAMESPACE = "seatrial-bench"
SECONDS = 180.0


@click.command()
@click.option("--times", default=10, show_default=True, help="Rollbacks to measure.")
def command(times: int) -> None:
    """Roll a failing version back again and again; print breach -> zero weight and what the client lost.

    Needs the test cluster, which it starts. About 40 s a rollback.
    """
    platform = installation.install(say=click.echo)
    installation.namespace(platform, NAMESPACE)
    subject = watching.Subject(platform, namespace=NAMESPACE)
    subject.apply(platform.sample("digits-v2"))
    subject.wait(lambda one: one.settled and one.verdict("2") is not None, what="version 2", seconds=SECONDS)
    subject.start_client()
    took = [_once(subject, number) for number in range(times)]
    books = subject.books()
    click.echo(f"\n{times} rollbacks: median {statistics.median(took):.2f} s, worst {max(took):.2f} s")
    click.echo(f"client: {books.sent} sent, {books.lost} lost, {books.not_the_models_fault} errors no model made")
    platform.cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def _once(subject: watching.Subject, number: int) -> float:
    """Version 3 fails on part of the inputs; a retry token lets it try again."""
    wish = copy.deepcopy(subject.platform.sample("digits-v3"))
    wish["metadata"]["annotations"] = {"seatrial.dev/retry": f"bench-{number}"}
    before = subject.look()
    known = before.status.last_rollback if before else None
    subject.apply(wish)

    def done(sight: watching.Sight) -> bool:
        rollback = sight.status.last_rollback
        return sight.settled and rollback is not None and (known is None or rollback.breach_at != known.breach_at)

    rollback = subject.wait(done, what="a rollback", seconds=SECONDS).status.last_rollback
    if rollback is None or rollback.seconds is None:
        raise AssertionError("unreachable: settled means that traffic is off")
    click.echo(f"  {number + 1}: {rollback.seconds:.2f} s  {rollback.reason}")
    return rollback.seconds
