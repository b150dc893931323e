"""ConfigMaps: the configuration of a revision's pods, with the report of the trial that it passed. Immutable.

Made when the pods are asked for; made again from the revision's notes if somebody deletes it, or if the bytes have
another address now.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from seatrial.rollout import config, facts, metadata, names, notes, report, revision

Object = dict[str, Any]


def needed(snapshot: facts.Snapshot, of: str) -> Iterator[Object]:
    """The revision's ConfigMap, where it is missing and can be made."""
    files = {} if of in snapshot.configured else files_of(snapshot, of)
    if not files:
        return
    owner = snapshot.owner
    yield {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata.of(owner, names.of_revision(owner.name, of), of),
        "immutable": True,
        "data": files,
    }


def files_of(snapshot: facts.Snapshot, of: str) -> dict[str, str]:
    """As noted, with today's address; else rendered from the trial; nothing before there is a report."""
    record, kept, trial = snapshot.known.get(of), snapshot.notes.get(of), snapshot.trials.get(of)
    if record is None:
        return {}
    if kept is not None and kept.passed:
        return _at_address(notes.unpack(kept.passed), record)
    if trial is None or trial.report is None or trial.report.outcome is not report.Outcome.PASSED:
        return {}
    text = config.render(
        namespace=snapshot.owner.namespace,
        name=snapshot.owner.name,
        record=record,
        analysis=snapshot.spec.analysis,
        passed=trial.report,
    )
    return {"config.json": text, "report.json": trial.report_line}


def stale(snapshot: facts.Snapshot, of: str) -> bool:
    """It names an address where the bytes no longer are, and can be made again."""
    record, kept = snapshot.known.get(of), snapshot.notes.get(of)
    if record is None or kept is None or not kept.passed:
        return False
    return snapshot.configured.get(of, record.uri) != record.uri


def _at_address(files: dict[str, str], record: revision.Record) -> dict[str, str]:
    if "config.json" not in files:
        return {}
    document = msgspec.json.decode(files["config.json"])
    document["model"]["uri"] = record.uri
    return {**files, "config.json": msgspec.json.encode(document, order="sorted").decode()}
