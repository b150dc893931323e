"""The commands that ask the operator for something: each sets one annotation, unless it would come to nothing.

The value is a token that was never used before, so that a command typed twice is done twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import click

from seatrial.plugin import asking, errors, options, view
from seatrial.plugin.connection import Connection

_NOTHING = "Ends with 1, and says why, where it would do nothing."


def _command(annotation: str, summary: str, rest: str) -> click.Command:
    """A command of the same name as its annotation."""

    @click.command(name=annotation, help=f"{summary}\n\n{rest}\n\n{_NOTHING}")
    @options.name
    @options.cluster
    def command(*, name: str, connected: Connection) -> None:
        _ask(connected, name, command=annotation)

    return command


def _ask(
    connected: Connection, name: str, *, command: str, token: Callable[[view.View], str] = lambda _: new_token()
) -> None:
    """Checks, writes, and says what was asked for."""
    seen = view.of(connected.get(name))
    if why := asking.why_not(command, seen):
        raise errors.WouldDoNothing(f"{command} would do nothing: {why}")
    said = token(seen)
    connected.annotate(name, {asking.PREFIX + command: said})
    click.echo(f"{name}: asked to {command} ({said}); kubectl seatrial get {name} -n {connected.namespace} -w shows it")


def new_token() -> str:
    """Hard to repeat by accident, short enough to be read in a message."""
    return f"cli-{secrets.token_hex(4)}"


@click.command()
@options.name
@click.option("--full", is_flag=True, help="Skip the remaining steps as well.")
@options.cluster
def promote(*, name: str, full: bool, connected: Connection) -> None:
    """Go on to the next step now; at a step that pauses it is what is waited for.

    It skips the wait, never the evidence: a version that is proven worse is rolled back all the same. Ends with 1, and
    says why, where it would do nothing.
    """
    _ask(connected, name, command="promote", token=lambda _: new_token() + (asking.FULL if full else ""))


@click.command()
@options.name
@click.argument("to")
@options.cluster
def rollback(*, name: str, to: str, connected: Connection) -> None:
    """Let an older version serve again: TO is its revision, or its version where that is only one.

    `kubectl seatrial history NAME` lists them. The version that the spec asks for is set aside until the spec changes
    or it is retried. Ends with 1, and says why, where it would do nothing.
    """
    seen = view.of(connected.get(name))
    revision, why = asking.target(seen, to)
    if why:
        raise errors.WouldDoNothing(f"rollback would do nothing: {why}")
    # The same revision may have been named before: what follows the slash makes it another token.
    token = f"{revision}/{new_token()}"
    connected.annotate(name, {f"{asking.PREFIX}rollback-to": token})
    click.echo(f"{name}: asked to roll back to version {seen.version_of(revision)} ({revision})")


@click.command()
@options.name
@click.option("--now", "at_once", is_flag=True, help="Don't wait for minInterval.")
@options.cluster
def retrain(*, name: str, at_once: bool, connected: Connection) -> None:
    """Start a training run of spec.retraining, whatever its triggers say.

    Ends with 1, and says why, where it would do nothing.
    """
    _ask(connected, name, command="retrain", token=lambda _: new_token() + (asking.AT_ONCE if at_once else ""))


@click.command()
@options.name
@options.cluster
def adopt(*, name: str, connected: Connection) -> None:
    """Let the version in that a training run has made and that waits for a word.

    It goes through trial, canary and soak as every version does. The token names the version that waits now, so a later
    one is not approved with it. Ends with 1, and says why, where it would do nothing.
    """
    _ask(connected, name, command="adopt", token=lambda seen: f"{asking.offered(seen)}/{new_token()}")


unfollow = _command(
    "unfollow",
    "Leave the versions of training runs: what spec.model asks for serves again.",
    "Later runs may offer others.",
)
abort = _command(
    "abort",
    "End the rollout, or the soak; the version counts as rejected.",
    "All traffic goes to the version before it. `retry` gives it another canary.",
)
pause = _command(
    "pause",
    "Hold the rollout: its weight stays, nothing advances.",
    "What takes traffic away goes on: evidence, crash loops, lost metrics.",
)
resume = _command("resume", "End a pause.", "The rollout goes on from where it stands.")
retry = _command(
    "retry",
    "Forget the rejection of the version that the spec asks for.",
    "It goes through a canary again.",
)
accept_drift = _command(
    "accept-drift",
    "Take the traffic as it is now for what is usual: the alarm of drift ends.",
    "The model stays; a change from here on is an alarm again.",
)
refresh_image = _command(
    "refresh-image",
    "Take the operator's present serving image, as a rollout.",
    "An upgrade of the operator changes no version that runs; this does.",
)
