"""`kubectl seatrial status`: how it stands, as an exit status for scripts."""

from __future__ import annotations

import enum
import itertools
import time

import click

from seatrial.api import values
from seatrial.plugin import options, view
from seatrial.plugin.connection import Connection

NOW = values.Duration.parse("0s")


class State(enum.Enum):
    """With the exit status that it has."""

    READY = 0
    FAILED = 1
    WAITING = 2


def state(seen: view.View) -> State:
    """What the spec asks for serves, can't come to serve without somebody's doing, or may still come.

    As kstatus reads the same conditions; a status that is about an older spec tells nothing.
    """
    if not seen.seen:
        return State.WAITING
    if seen.is_true("Stalled"):
        return State.FAILED
    return State.READY if seen.is_true("Ready") else State.WAITING


@click.command()
@options.name
@click.option(
    "--timeout",
    type=options.DURATION,
    default=str(NOW),
    show_default=True,
    help="Wait for an end for so long, such as 30m; 0s looks once.",
)
@options.cluster
def command(*, name: str, timeout: values.Duration, connected: Connection) -> None:
    """Say how a model deployment stands, in one line.

    Ends with 0 when what the spec asks for serves, with 1 when it was rolled back, refused or is stuck, with 2 when it
    is still on its way at the end of the time, with 3 when it can't be found out.
    """
    deadline = time.monotonic() + timeout.total_seconds()
    seen = view.of(connected.get(name))
    gone = seen.gone
    while not gone and state(seen) is State.WAITING and (left := deadline - time.monotonic()) > 0:
        begun = time.monotonic()
        found, version = connected.listed(name)
        if not found:
            gone = True
            break
        for changed in itertools.chain(found, connected.watch(name, since=version, seconds=left)):
            seen = view.of(changed)
            gone = seen.gone
            if gone or state(seen) is not State.WAITING:
                break
        else:
            time.sleep(min(max(0.0, deadline - time.monotonic()), max(0.0, 1.0 - (time.monotonic() - begun))))
    said = "is deleted" if gone else seen.message
    click.echo(f"{name}: {seen.reason}: {said}")
    raise SystemExit(State.FAILED.value if gone else state(seen).value)
