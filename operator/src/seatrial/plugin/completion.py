"""Shell completion: for `kubectl seatrial` by way of kubectl's own, for `kubectl-seatrial` by way of click's.

kubectl asks an executable `kubectl_complete-seatrial` on the PATH: with the words typed so far it prints what may come
next, one a line, and last a directive (4: don't offer file names).
"""

from __future__ import annotations

import sys

import click
from click.shell_completion import ShellComplete, get_completion_class

from seatrial.plugin import main

_VARIABLE = "_KUBECTL_SEATRIAL_COMPLETE"
_NO_FILES = ":4"


class _Kubectl(ShellComplete):
    """For what click's own engine needs a class."""

    name = "kubectl"
    source_template = ""


def proposals(words: list[str]) -> list[str]:
    """What may come in the place of the last word."""
    *before, incomplete = words or [""]
    engine = _Kubectl(main.group, {}, "kubectl seatrial", _VARIABLE)
    found = engine.get_completions(before, incomplete)
    return [f"{one.value}\t{one.help}" if one.help else str(one.value) for one in found if one.type == "plain"]


def complete() -> None:
    """The console script `kubectl_complete-seatrial`."""
    for one in proposals(sys.argv[1:]):
        click.echo(one)
    click.echo(_NO_FILES)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(*, shell: str) -> None:
    """Print a script that completes `kubectl-seatrial`; source it in your shell.

    `kubectl seatrial` itself is completed by kubectl's own script as soon as `kubectl_complete-seatrial`, which is
    installed beside this program, is on the PATH.
    """
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101  # click has these three
    click.echo(found(main.group, {}, "kubectl-seatrial", _VARIABLE).source())
