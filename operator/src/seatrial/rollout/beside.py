"""What a trial may fetch beside the model: the stable version's package and the datasets of `spec.trial.datasets`.

Each comes with the credentials of its own place, and those of different places never meet in one container: a way is a
Secret and a claim, way 0 is the model's, and every other way gets a container. Pure.
"""

from __future__ import annotations

from typing import Any

import msgspec

from seatrial.api import spec
from seatrial.rollout import artifacts, revision

Object = dict[str, Any]


class Beside(msgspec.Struct, frozen=True):
    """`stable`: the version that answers now, if there is one."""

    model: artifacts.Artifact
    stable: revision.Record | None = None
    datasets: tuple[spec.Dataset, ...] = ()

    @property
    def ways(self) -> tuple[artifacts.Artifact, ...]:
        """One artifact for each way, the model first."""
        found = {self.model.way: self.model}
        for one in self._artifacts():
            found.setdefault(one.way, one)
        return tuple(found.values())

    def document(self) -> Object | None:
        """The part `trial` of the server's configuration; nothing where there is nothing beside the model."""
        document: Object = {}
        if self.stable is not None:
            content = self.stable.content
            document["stable"] = {
                "version": content.model_version,
                "uri": self.stable.uri,
                "sha256": content.sha256,
                "way": self._number(artifacts.Artifact(*self.stable.address)),
            }
        if self.datasets:
            document["datasets"] = [
                {"name": one.name, "uri": one.uri, "sha256": one.sha256, "way": self._number(_artifact(one))}
                for one in self.datasets
            ]
        return document or None

    def _artifacts(self) -> list[artifacts.Artifact]:
        stable = [artifacts.Artifact(*self.stable.address)] if self.stable is not None else []
        return stable + [_artifact(one) for one in self.datasets]

    def _number(self, artifact: artifacts.Artifact) -> int:
        return [one.way for one in self.ways].index(artifact.way)


def _artifact(dataset: spec.Dataset) -> artifacts.Artifact:
    return artifacts.Artifact(dataset.uri, dataset.secret)
