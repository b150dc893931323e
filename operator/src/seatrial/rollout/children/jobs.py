"""The trial's Job. Each try of a revision's trial is told from the others by a number, not by anybody's clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seatrial.api import stage as stages
from seatrial.api import status
from seatrial.rollout import artifacts, beside, config, facts, metadata, names, templates

Object = dict[str, Any]


def trial(snapshot: facts.Snapshot, after: status.Status) -> Iterator[Object]:
    """The candidate's, while it is on trial and has none; one of an earlier try has to go first."""
    candidate = after.candidate
    if candidate is None or candidate.revision in snapshot.trials:
        return
    stage, record = stages.of(candidate), snapshot.known.get(candidate.revision)
    if not isinstance(stage, stages.Trial) or record is None:
        return
    owner, wish = snapshot.owner, snapshot.spec
    stable = snapshot.known.get(after.stable.revision) if after.stable is not None else None
    others = beside.Beside(
        model=artifacts.Artifact(record.uri, record.secret), stable=stable, datasets=wish.trial.datasets
    )
    text = config.render(
        namespace=owner.namespace, name=owner.name, record=record, analysis=wish.analysis, others=others
    )
    meta = metadata.of(owner, names.of_trial(owner.name, record.revision), record.revision)
    yield {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**meta, "annotations": {names.ATTEMPT: str(stage.attempt)}},
        "spec": {
            "backoffLimit": 2,
            "activeDeadlineSeconds": max(1, int(wish.trial.timeout.total_seconds())),
            "template": templates.trial(
                owner.name, record, config=text, defaults=snapshot.operator.pods, others=others.ways[1:]
            ),
        },
    }
