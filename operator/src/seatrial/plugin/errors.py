"""What ends a command of the plugin, as one tree. Each is one sentence for people, and an exit status for scripts.

PluginError         3   it could not be found out
+-- NotConfigured       no kubeconfig, no context, or one that can't be used
+-- Unreachable         no API server answers at its address, or not in time
+-- NotAuthenticated    401: credentials are missing, wrong or expired
+-- NotAllowed          403: the user's rights don't cover it
+-- NoResource          the API server doesn't know ModelDeployments
+-- NotFound            there is no such object
+-- Refused             any other answer of the API server
+-- WouldDoNothing  1   a command that the operator would ignore
"""

from __future__ import annotations

import click


class PluginError(click.ClickException):
    """Base of everything the package raises; click prints it and ends with `exit_code`."""

    exit_code = 3

    def show(self, file: object = None) -> None:
        """One line on standard error."""
        click.echo(f"kubectl seatrial: {self.message}", err=True)


class NotConfigured(PluginError):
    """The kubeconfig says nothing that can be used."""


class Unreachable(PluginError):
    """Nobody answers, or not in time."""


class NotAuthenticated(PluginError):
    """The API server doesn't know who asks."""


class NotAllowed(PluginError):
    """The API server knows who asks, and says no."""


class NoResource(PluginError):
    """The kind isn't served."""


class NotFound(PluginError):
    """There is no such object."""


class Refused(PluginError):
    """The API server's own words."""


class WouldDoNothing(PluginError):
    """A command that would come to nothing."""

    exit_code = 1
