"""The stable version, for tests against it: its package as it was fetched, opened as the original graph.

Not being able to compare says nothing about the candidate, but neither may it pass for a comparison: the trial ends
with `BaselineUnavailable`. Without anything to compare with (no stable version, the same bytes) the test is skipped.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from seatrial_server.host import errors
from seatrial_server.model import manifest
from seatrial_server.prepare import opened
from seatrial_server.trial import answered


class Known(msgspec.Struct, frozen=True, rename="camel"):
    """What the trial is told of the stable version, and why its package could not be had, if so."""

    version: str
    sha256: str
    refusal: str = ""


class Baseline:
    """The package is opened when somebody asks. `skip`: why there is nothing to compare with, empty otherwise."""

    def __init__(
        self, known: Known | None = None, *, folder: Path = Path(), scratch: Path = Path(), skip: str = ""
    ) -> None:
        self._known, self._folder, self._scratch = known, folder, scratch
        self.skip = "there is no stable version yet" if known is None else skip
        self._model: answered.Model | None = None

    @property
    def version(self) -> str:
        """The stable version's name for people."""
        return self._known.version if self._known else ""

    def model(self) -> answered.Model:
        """The stable version's model.

        Raises:
            Rejected: `BaselineUnavailable`, it can't be opened.
        """
        if self._model is None:
            if self._known is not None and self._known.refusal:
                raise unavailable(self.version, self._known.refusal)
            self._scratch.mkdir(parents=True, exist_ok=True)
            try:
                read = opened.read(self._folder, self._scratch, mode="None")
            except errors.Rejected as error:
                raise unavailable(self.version, str(error)) from error
            missing = frozenset(read.examined.adapted.missing)
            self._model = answered.Model(session=read.loaded, card=read.card, missing=missing)
        return self._model


def of(known: Known | None, made: manifest.Manifest, work: Path, scratch: Path) -> Baseline:
    """The stable version as it lies in the work folder; the candidate's own bytes are no other version."""
    same = known is not None and known.sha256 == made.sha256
    skip = "the stable version has the same bytes" if same else ""
    return Baseline(known, folder=folder_of(work), scratch=scratch, skip=skip)


def folder_of(work: Path) -> Path:
    """Where its package is."""
    return work / "stable"


def unavailable(version: str, why: str) -> errors.Rejected:
    """The verdict when there is a stable version and no way to compare with it."""
    return errors.Rejected("BaselineUnavailable", f"the stable version {version!r} can't be compared with: {why}")
