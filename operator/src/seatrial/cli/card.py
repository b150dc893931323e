"""`seatrial card`: the model card of a package, with the numbers of its trial, which runs here."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import click

REFUSED = 2
_PACKAGE = re.compile(r"(?P<name>.+?)(?:-v?(?P<version>\d[\w.]*))?(\.tar\.gz|\.tgz|\.tar|\.zip|\.onnx)")


@click.command()
@click.argument("package", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "-o",
    "--form",
    type=click.Choice(["markdown", "cyclonedx"]),
    default="markdown",
    show_default=True,
    help="Markdown with Hugging Face's front matter, or CycloneDX 1.6 (JSON).",
)
@click.option("--name", help="The model's name.  [default: the churn of churn-7.tar.gz]")
@click.option("--version", help="A label for people.  [default: the 7 of churn-7.tar.gz]")
def command(package: Path, *, form: str, name: str | None, version: str | None) -> None:
    """Print the card of a model package: what model.yaml says, and what the trial finds, which runs on this machine.

    A package that its trial refuses has a card all the same. Pods give theirs at :8082/card.

    \b
        seatrial card churn-7.tar.gz > README.md
    """
    try:
        from seatrial.packing import errors, trying
    except ImportError as error:
        click.echo(f"seatrial card: {error}: pip install 'seatrial[pack]'", err=True)
        raise SystemExit(REFUSED) from None
    found = _PACKAGE.fullmatch(package.name)
    named = found.groupdict() if found else {"name": package.name, "version": None}
    try:
        with tempfile.TemporaryDirectory() as folder:
            tried = trying.Tried(
                package, Path(folder), name=name or str(named["name"]), version=version or named["version"] or "1"
            )
            click.echo(tried.card(tried.trial(), form), nl=False)
    except errors.PackError as error:
        click.echo(f"seatrial card: {error}", err=True)
        raise SystemExit(REFUSED) from None
