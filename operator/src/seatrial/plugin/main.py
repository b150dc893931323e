"""`kubectl seatrial`: the group of commands. A command's module is imported when it runs, so that starting is quick.

A new command is a module with a click command called `command`, or one of `acting`'s, and a line in COMMANDS.
"""

from __future__ import annotations

import click

from seatrial.plugin.lazy import LazyGroup

COMMANDS = {
    "abort": "seatrial.plugin.acting:abort",
    "accept-drift": "seatrial.plugin.acting:accept_drift",
    "adopt": "seatrial.plugin.acting:adopt",
    "card": "seatrial.plugin.card:command",
    "completion": "seatrial.plugin.completion:command",
    "dashboard": "seatrial.plugin.dashboard.command:command",
    "drift": "seatrial.plugin.drift:command",
    "explain": "seatrial.plugin.explain:command",
    "get": "seatrial.plugin.get:command",
    "history": "seatrial.plugin.history:command",
    "lint": "seatrial.plugin.lint:command",
    "pause": "seatrial.plugin.acting:pause",
    "pin": "seatrial.plugin.pin:command",
    "power": "seatrial.plugin.power:command",
    "promote": "seatrial.plugin.acting:promote",
    "refresh-image": "seatrial.plugin.acting:refresh_image",
    "replay": "seatrial.cli.replay:command",
    "resume": "seatrial.plugin.acting:resume",
    "retrain": "seatrial.plugin.acting:retrain",
    "retry": "seatrial.plugin.acting:retry",
    "rollback": "seatrial.plugin.acting:rollback",
    "status": "seatrial.plugin.status:command",
    "unfollow": "seatrial.plugin.acting:unfollow",
}


@click.group(
    cls=LazyGroup, places=COMMANDS, name="kubectl seatrial", context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="seatrial", message="%(version)s")
def group() -> None:
    """Model deployments and their rollouts, with your own kubeconfig and your own rights.

    Ends with 3 when it can't be found out: no kubeconfig, no rights, no such object, nobody answers.
    """


def main() -> None:
    """The console script `kubectl-seatrial`."""
    group(prog_name="kubectl seatrial")


if __name__ == "__main__":
    main()
