"""`kubectl seatrial pin`: the patch that makes Git say what serves."""

from __future__ import annotations

import contextlib
from typing import Any

import click
import msgspec

from seatrial.api import status
from seatrial.plugin import errors, options, view
from seatrial.plugin.connection import Connection
from seatrial.rollout import notes


@click.command()
@options.name
@click.option(
    "-o", "--output", type=click.Choice(["json", "yaml"]), default="yaml", show_default=True, help="Form of the patch."
)
@options.cluster
def command(*, name: str, output: str, connected: Connection) -> None:
    """Print the `spec.model` of the version that serves, to be committed where the manifest is kept.

    After a rollback Git asks for one version and another one serves; committing this makes them agree, without a new
    canary. The address comes from the operator's record of the revision, which you need the right to read
    (controllerrevisions); without it only digest and version are printed. Nothing in the cluster is changed.
    """
    seen = view.of(connected.get(name))
    stable = seen.status.stable
    if stable is None:
        raise errors.WouldDoNothing(f"there is nothing to pin: no version of {name} serves yet")
    model = dict(seen.raw["spec"]["model"])
    if (model.get("sha256"), str(model.get("version", stable.model_version))) == (stable.sha256, stable.model_version):
        raise errors.WouldDoNothing(
            f"there is nothing to pin: the spec asks for version {stable.model_version}, which serves"
        )
    record = connected.optional("apps/v1", "controllerrevisions", f"{name}-{stable.revision}")
    found = _model(stable, record or {})
    click.echo(options.data({"spec": {"model": found}}, output))
    if "uri" not in found:
        click.echo(
            f"kubectl seatrial: the address is not among it: you may not read the record {name}-{stable.revision}, or "
            "it is gone; take spec.model.uri of that version from Git",
            err=True,
        )


def _model(stable: status.Stable, record: dict[str, Any]) -> dict[str, Any]:
    """The address as it is now: it may have moved since the revision was first seen."""
    data, text = record.get("data") or {}, (record.get("metadata", {}).get("annotations") or {}).get(notes.ANNOTATION)
    uri, secret = data.get("uri"), data.get("secret")
    with contextlib.suppress(msgspec.MsgspecError):
        if text and (moved := notes.read(text).address) is not None:
            uri, secret = moved.uri, moved.secret
    where: dict[str, Any] = {"uri": uri} if uri else {}
    opened: dict[str, Any] = {"secretRef": {"name": secret}} if secret else {}
    return {**where, "sha256": stable.sha256, "version": stable.model_version, **opened}
