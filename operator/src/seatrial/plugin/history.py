"""`kubectl seatrial history`: what was decided of which version, and what a rollback may name."""

from __future__ import annotations

import click
from rich.table import Table

from seatrial.plugin import asking, options, view, words
from seatrial.plugin.connection import Connection


@click.command()
@options.name
@options.output
@options.cluster
def command(*, name: str, output: str | None, connected: Connection) -> None:
    """List the verdicts on versions, the newest first, and which of them `rollback` may name."""
    seen = view.of(connected.get(name))
    if output:
        click.echo(options.data(seen.status.verdicts, output))
        return
    if not seen.status.verdicts:
        click.echo(f"{name}: nothing was decided yet.")
        return
    choice, marked = asking.revisions(seen), set()
    sheet = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("AGE", "VERSION", "REVISION", "VERDICT", "REASON", "ROLLBACK", "MESSAGE"):
        sheet.add_column(heading, overflow="fold", no_wrap=heading == "REVISION")
    for one in seen.status.verdicts:
        first = one.revision in choice and one.revision not in marked
        marked.add(one.revision)
        sheet.add_row(
            words.age(one.at, words.now()),
            one.model_version,
            one.revision,
            one.verdict.value,
            one.reason.value,
            "yes" if first else "",
            one.message,
        )
    options.console().print(sheet)
