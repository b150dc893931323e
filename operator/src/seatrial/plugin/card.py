"""`kubectl seatrial card`: the model card of a version in the cluster, from what the operator has kept of it.

The card is the server's own, made here: operator and server share no code, this tool of people's may use both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from seatrial.api import status as statuses
from seatrial.plugin import errors, options, view
from seatrial.plugin.connection import Connection
from seatrial.rollout import names, notes
from seatrial_server.cards import facts, recorded
from seatrial_server.trial import report

REPORT, CONFIG = "report.json", "config.json"


class Kept(msgspec.Struct, frozen=True):
    """What is on record of a revision: whose bytes, and the report of its trial."""

    model: dict[str, str]
    report: str


@click.command()
@options.name
@click.option("--revision", metavar="VERSION", help="A revision, or the label of a version.  [default: the stable one]")
@click.option(
    "-o",
    "--form",
    type=click.Choice(["markdown", "cyclonedx"]),
    default="markdown",
    show_default=True,
    help="Markdown with Hugging Face's front matter, or CycloneDX 1.6 (JSON).",
)
@options.cluster
def command(*, name: str, revision: str | None, form: str, connected: Connection) -> None:
    """Print the model card of a version that the cluster knows: the one that serves, or a named one.

    It holds what model.yaml says, what the trial measured, where the model came from, and how it has fared: verdicts,
    drift, and how often labels show its answers to be wrong. You need the right to read configmaps or
    controllerrevisions, where the operator keeps the report.

    \b
        kubectl seatrial card churn > README.md
        kubectl seatrial card churn --revision 6 -o cyclonedx > bom.json
    """
    seen = view.of(connected.get(name))
    chosen = revision_of(seen, revision)
    place = names.of_revision(name, chosen)
    known, lacking = told(
        seen,
        chosen,
        config_map=connected.optional("v1", "configmaps", place) or {},
        record=connected.optional("apps/v1", "controllerrevisions", place) or {},
    )
    if lacking:
        click.echo(f"kubectl seatrial: {lacking}", err=True)
    document, _ = recorded.render(known, form)
    click.echo(document, nl=False)


def told(
    seen: view.View, revision: str, *, config_map: dict[str, Any], record: dict[str, Any]
) -> tuple[facts.Facts, str]:
    """What is known of a revision, and in words what is lacking.

    Args:
        config_map, record: the configuration of its pods and the operator's record; empty where they can't be had.

    Raises:
        errors.NotFound: nothing is on record.
        errors.Refused: what is on record can't be read.
    """
    kept = _kept(seen, revision, config_map, record)
    try:
        known = recorded.of(
            kept.model, kept.report, serving=_serving(seen, revision), measured=_measured(seen.status, revision)
        )
    except msgspec.ValidationError as error:
        raise errors.Refused(f"the record of revision {revision} can't be read: {error}") from error
    if known.trial is None:
        return known, (
            f"the report of revision {revision}'s trial is gone or can't be read: the card has neither its numbers nor "
            "the words of model.yaml"
        )
    if known.trial.card is None:
        return known, (
            "the trial's report has no words of model.yaml, as it is of an older release or they are long; the card "
            "that a pod gives at :8082/card has them"
        )
    return known, ""


def revision_of(seen: view.View, named: str | None) -> str:
    """The stable revision, or the one that is named by itself or by its version's label."""
    stable, known = seen.status.stable, _known(seen)
    if named is None:
        if stable is None:
            hint = f"; name one with --revision: {_listed(known)}" if known else ""
            raise errors.WouldDoNothing(f"there is no card yet: no version of {seen.name} serves{hint}")
        return stable.revision
    if named in known:
        return named
    return next((revision for revision, version in known.items() if version == named), named)


def _known(seen: view.View) -> dict[str, str]:
    """Revisions that status tells of, with their versions' labels; what serves comes first, then the newest."""
    now = seen.status
    standing = (now.stable, now.candidate, now.previous)
    found = {one.revision: one.model_version for one in standing if one is not None}
    for verdict in now.verdicts:
        found.setdefault(verdict.revision, verdict.model_version)
    return found


def _listed(known: dict[str, str]) -> str:
    return ", ".join(f"{revision} (version {version})" for revision, version in known.items())


def _kept(seen: view.View, revision: str, config_map: dict[str, Any], record: dict[str, Any]) -> Kept:
    """From the configuration of its pods, else from the operator's record."""
    files = {**_noted(record), **(config_map.get("data") or {})}
    model = _configured(files.get(CONFIG, "")) or _of_record(record)
    if not model:
        known = _known(seen)
        there = f"there are {_listed(known)}" if known else "there is none yet"
        raise errors.NotFound(
            f"nothing is on record of revision {revision!r} of {seen.name}: it is gone, or you may read neither "
            f"configmaps nor controllerrevisions; {there}"
        )
    return Kept(model=model, report=str(files.get(REPORT, "")))


def _noted(record: dict[str, Any]) -> dict[str, str]:
    text = (record.get("metadata", {}).get("annotations") or {}).get(notes.ANNOTATION, "{}")
    try:
        return notes.unpack(notes.read(text).passed)
    except msgspec.MsgspecError:
        return {}


def _configured(text: str) -> dict[str, str]:
    try:
        return msgspec.convert(msgspec.json.decode(text or "{}").get("model") or {}, dict[str, str])
    except (msgspec.MsgspecError, AttributeError):
        return {}


def _of_record(record: dict[str, Any]) -> dict[str, str]:
    data = record.get("data") or {}
    content = data.get("content") or {}
    if "sha256" not in content:
        return {}
    known = {"name": content.get("modelName"), "version": content.get("modelVersion"), "sha256": content["sha256"]}
    return {"uri": str(data.get("uri", "")), **{field: str(value) for field, value in known.items()}}


def _serving(seen: view.View, revision: str) -> Iterator[tuple[str, str]]:
    """How the version stands and has fared."""
    now = seen.status
    yield "model deployment", f"{seen.namespace}/{seen.name}"
    yield "revision", revision
    yield "stands", _standing(now, revision)
    for verdict in now.verdicts:
        if verdict.revision == revision:
            yield f"verdict of {verdict.at:%Y-%m-%d %H:%M}Z", f"{verdict.verdict} ({verdict.reason}): {verdict.message}"
    for name, found, kind in (("drift", now.drift, "Drifted"), ("quality", now.quality, "QualityDropped")):
        said = seen.condition(kind)
        if found is not None and found.revision == revision and said is not None:
            yield name, f"{said.reason}: {said.message}"


def _measured(now: statuses.Status, revision: str) -> Iterator[report.Evaluation]:
    """How often its answers were wrong, of those that labels came for, with 99 % limits."""
    found = now.quality
    if found is None or found.revision != revision or not found.labelled:
        return
    until = f" until {found.until:%Y-%m-%d %H:%M}Z" if found.until is not None else ""
    yield report.Evaluation(
        name=f"labels of {found.window}{until}",
        metric="errorRate",
        value=_share(found.share),
        low=_share(found.low),
        high=_share(found.high),
        rows=found.labelled,
    )


def _share(text: str) -> float:
    """Status has shares as people read them."""
    return float(text.removesuffix("%") or 0) / 100


def _standing(now: statuses.Status, revision: str) -> str:
    if now.stable is not None and now.stable.revision == revision:
        return f"stable since {now.stable.since:%Y-%m-%d %H:%M}Z"
    if now.candidate is not None and now.candidate.revision == revision:
        return f"candidate, {now.candidate.weight} % of the traffic"
    return "does not serve"
