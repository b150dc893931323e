"""`python -m tests.bench deaths`: an operator that dies at every single write, through a promotion and a rollback.

The suite lets it die here and there (tests/cluster/test_relay_faults.py); this is the whole way.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import rich.console
import rich.table
from tests.cluster import dying, installation, watching
from tests.cluster.test_rollouts import LONG_STEP, TWO_STEPS, outcome, resource, wait_for_verdict

NAMESPACE = "bench-deaths"
VERSIONS = {"2b": (TWO_STEPS, "Promoted", "2b"), "3": (LONG_STEP, "Rejected", "2b")}


@click.command()
def command() -> None:
    """Let the operator die at every write of a promotion and of a rollback, with 50 requests a second.

    Needs the test cluster, which it starts. Some six minutes.
    """
    platform = installation.install(say=click.echo)
    installation.namespace(platform, NAMESPACE)
    subject = watching.Subject(platform, namespace=NAMESPACE)
    subject.apply(resource(platform, "digits-v2"))
    wait_for_verdict(subject, "2")
    subject.start_client()
    table = rich.table.Table("version", "verdict", "serves", "writes", "deaths", "seconds", "errors", "lost", "left")
    wrong = False
    for version, (steps, *ends) in VERSIONS.items():
        before = subject.books()
        wish = resource(platform, f"digits-v{version}", steps=steps)
        with tempfile.TemporaryDirectory() as folder:
            done = dying.passage(subject, wish, version, deaths=dying.at_every_write(), folder=Path(folder))
        after = subject.books()
        verdict, reason, serving = outcome(done.sight, version)
        errors = after.model_errors + after.not_the_models_fault - before.model_errors - before.not_the_models_fault
        lost = after.lost - before.lost
        wrong = wrong or [verdict, serving] != ends or bool(errors or lost or done.left)
        counts = (done.writes, len(done.died), round(done.seconds), errors, lost)
        table.add_row(version, f"{verdict} ({reason})", serving, *map(str, counts), ", ".join(done.left))
        for line in _by_kind(done.died):
            click.echo(f"v{version} {line}")
    rich.console.Console().print(table)
    platform.cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    sys.exit(wrong)


def _by_kind(died: tuple[str, ...]) -> Iterator[str]:
    """At which writes, without the names of objects."""
    kinds = sorted(" ".join([what.split()[0], _kind(what.split()[1])]) for what in died)
    return (f"{len([*group]):4d} x {kind}" for kind, group in itertools.groupby(kinds))


def _kind(path: str) -> str:
    parts = path.rstrip(":").split("/")
    place = parts.index("namespaces") + 2 if "namespaces" in parts else len(parts) - 1
    return "/".join([parts[place], *parts[place + 2 :]])


if __name__ == "__main__":
    command()
