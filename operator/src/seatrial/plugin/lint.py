"""`kubectl seatrial lint`: manifests checked without a cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from seatrial.plugin import errors, options
from seatrial.plugin.linting import checking, documents


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Requests a second to expect.")
@click.option("--strict", is_flag=True, help="Advice counts as an error.")
@options.output
def command(*, files: tuple[str, ...], rate: float | None, strict: bool, output: str | None) -> None:
    """Check manifests of model deployments without a cluster; - reads standard input.

    Errors are what the API server would refuse: unknown fields, types, bounds, and the CRD's own rules. Advice is what
    it accepts and what is probably not meant; with --rate also steps that are too short to convict a version, or that
    never end. Objects of other kinds are passed over.

    Ends with 1 when there is an error, with 0 otherwise.
    """
    checked = [_in(file, rate=rate) for file in files]
    found = [finding for _, findings in checked for finding in findings]
    if not found and not any(count for count, _ in checked):
        found = [_about(", ".join(files), "no ModelDeployment there: nothing was checked")]
    if output:
        click.echo(options.data(found, output))
    else:
        for one in found:
            where = f"{one['file']}: {one['name']}: " if one["name"] else f"{one['file']}: "
            click.echo(f"{where}{one['level']}: {one['path']}{': ' if one['path'] else ''}{one['message']}")
    bad = [one for one in found if strict or one["level"] == checking.Level.ERROR]
    raise SystemExit(1 if bad else 0)


def _in(file: str, *, rate: float | None) -> tuple[int, list[dict[str, Any]]]:
    """How many model deployments a file has, and what was found."""
    found: list[dict[str, Any]] = []
    checked = 0
    try:
        for document in documents.read(_text(file)):
            if not checking.concerns(document):
                continue
            checked += 1
            metadata = document.get("metadata")
            name = str(metadata.get("name", "")) if isinstance(metadata, dict) else ""
            told = checking.check(document, rate=rate)
            found += [{"file": file, "name": name, **msgspec.structs.asdict(one)} for one in told]
    except documents.NotReadable as error:
        found.append(_about(file, str(error)))
    return checked, found


def _about(file: str, message: str) -> dict[str, Any]:
    return {"file": file, "name": "", "level": checking.Level.ERROR, "path": "", "message": message}


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise errors.PluginError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise documents.NotReadable("not YAML: it is no UTF-8 text") from error
