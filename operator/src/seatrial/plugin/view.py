"""A ModelDeployment as it was read: what people and checks want to know of it, by name.

Read leniently: an operator of another release may have written words and fields that this plugin doesn't know.
"""

from __future__ import annotations

from typing import Any

import msgspec

from seatrial.api import stage as stages
from seatrial.api import status as statuses
from seatrial.api import stored, values
from seatrial.api.spec import Spec

SELECTOR = "seatrial.dev/modeldeployment"


class View(msgspec.Struct, frozen=True, kw_only=True):
    """One object. `spec` is None where this release can't read it."""

    raw: dict[str, Any]
    spec: Spec | None
    status: statuses.Status

    @property
    def name(self) -> str:
        return str(self.raw["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.raw["metadata"].get("namespace", ""))

    @property
    def generation(self) -> int:
        return int(self.raw["metadata"].get("generation", 0))

    @property
    def annotations(self) -> dict[str, str]:
        return dict(self.raw["metadata"].get("annotations") or {})

    @property
    def seen(self) -> bool:
        """The status is about the spec as it is now."""
        return self.status.observed_generation >= self.generation

    @property
    def gone(self) -> bool:
        return "deletionTimestamp" in self.raw["metadata"]

    def condition(self, kind: str) -> statuses.Condition | None:
        return next((one for one in self.status.conditions if one.type == kind), None)

    def is_true(self, kind: str) -> bool:
        found = self.condition(kind)
        return found is not None and found.status is statuses.ConditionStatus.TRUE

    @property
    def message(self) -> str:
        """The sentence on Ready: what happens now, or what to do."""
        ready = self.condition("Ready")
        return ready.message if ready is not None else ""

    @property
    def reason(self) -> str:
        ready = self.condition("Ready")
        return ready.reason if ready is not None else "Pending"

    @property
    def stage(self) -> stages.Stage | None:
        """Of the candidate; None without one, or where somebody edited its status."""
        candidate = self.status.candidate
        return stages.of(candidate) if candidate is not None and stages.told_by(candidate) else None

    @property
    def version(self) -> str:
        """The label of the version that the spec asks for."""
        model = self.raw.get("spec", {}).get("model", {})
        return str(model.get("version") or str(model.get("sha256", ""))[:8])

    @property
    def verdict(self) -> statuses.Verdict | None:
        """The newest verdict on the version that the spec asks for."""
        sha256 = self.raw.get("spec", {}).get("model", {}).get("sha256", "")
        label = self.version
        own = (one for one in self.status.verdicts if one.sha256 == sha256 and one.model_version == label)
        return next(own, None)

    def version_of(self, revision: str) -> str:
        """The label of a revision, as far as status still knows it; else the revision itself."""
        now = self.status
        known = [one for one in (now.stable, now.candidate, now.previous) if one is not None]
        found = [one.model_version for one in known if one.revision == revision]
        found += [one.model_version for one in now.verdicts if one.revision == revision]
        return found[0] if found else revision


def of(raw: dict[str, Any]) -> View:
    """Never fails: what can't be read is left out."""
    raw.get("metadata", {}).pop("managedFields", None)
    try:
        wish = msgspec.convert(raw.get("spec"), Spec, dec_hook=values.decode_hook)
    except msgspec.ValidationError:
        wish = None
    found, _ = stored.read(raw.get("status") or {})
    return View(raw=raw, spec=wish, status=found)
