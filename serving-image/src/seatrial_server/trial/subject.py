"""The model on trial with all that its tests refer to: rows, answers, the stable version. Runs in the sandbox.

Everything is read once, whatever the number of tests that ask for it.
"""

from __future__ import annotations

import functools
from pathlib import Path

from seatrial_server.artifact import datasets, package
from seatrial_server.host import errors
from seatrial_server.model import declared, manifest, schema, session
from seatrial_server.prepare import opened
from seatrial_server.trial import answered, baseline, judged, metrics, perturbing


class Subject:
    """The model under test. `fetched`: the folder of datasets from elsewhere; `scratch`: one that is deleted then."""

    def __init__(
        self,
        model: session.Session,
        card: schema.Card,
        folder: Path,
        *,
        made: manifest.Manifest | None = None,
        fetched: Path | None = None,
        stable: baseline.Baseline | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.model, self.card, self.folder = model, card, folder
        self.columns = perturbing.Columns(card, model.schema)
        self.made = made
        self.stable = stable or baseline.Baseline()
        self.served = answered.Model(model, card, frozenset(made.missing if made else ()))
        self._fetched, self._scratch = fetched or folder, scratch or folder
        self._rows: dict[str, datasets.Rows] = {}
        self._answered: dict[tuple[str, bool], answered.Answered] = {}

    @functools.cached_property
    def converted(self) -> answered.Model:
        """The package's graph as it came: what int8 costs is the quantization's own matter, not its conversion's."""
        if self.made is None or not self.made.precision.startswith("int8"):
            return self.served
        self._scratch.mkdir(parents=True, exist_ok=True)
        read = opened.read(self.folder, self._scratch, mode="None")
        return answered.Model(read.loaded, read.card, frozenset(read.examined.adapted.missing))

    def rows(self, test: declared.InvarianceTest | declared.DirectionalTest, *, source: str) -> perturbing.Feeds:
        """The test's rows."""
        if (test.rows is None) == (test.dataset is None):
            raise _invalid(source, "give either rows or dataset")
        if test.rows is not None:
            return package.as_feeds(test.rows, self.model.schema, source=source)
        if test.dataset == "reference":
            feeds = package.reference(self.folder, self.model.schema)
            if feeds is None:
                raise _invalid(source, "the package has no reference.npz")
        else:
            feeds = self.dataset(test.dataset or "").feeds(self.model.schema)
        return {name: array[: test.max_rows] for name, array in feeds.items()}

    def dataset(self, name: str) -> datasets.Rows:
        """Rows by name."""
        if name not in self._rows:
            self._rows[name] = datasets.read(name, package_folder=self.folder, fetched=self._fetched)
        return self._rows[name]

    def answers(self, name: str, *, of_stable: bool = False) -> answered.Answered:
        """The model's to a dataset, or the stable version's."""
        if (name, of_stable) not in self._answered:
            self._answered[name, of_stable] = self._ask(name, of_stable=of_stable)
        return self._answered[name, of_stable]

    def outcomes(self, name: str, *, of_stable: bool = False) -> tuple[metrics.Outcomes, session.Array]:
        """The same against what is right, with the places of its rows in the dataset."""
        answers = self.answers(name, of_stable=of_stable)
        return judged.outcomes(self.stable.model() if of_stable else self.served, answers)

    def _ask(self, name: str, *, of_stable: bool) -> answered.Answered:
        rows = self.dataset(name)
        if not of_stable:
            return answered.ask(self.served, rows)
        try:
            return answered.ask(self.stable.model(), rows)
        except errors.Rejected as error:
            if error.reason == "BaselineUnavailable":
                raise
            raise baseline.unavailable(self.stable.version, str(error)) from error

    def run(self, feeds: perturbing.Feeds, *, source: str, batch: int = session.ROWS_PER_RUN) -> list[session.Array]:
        """All outputs for all rows."""
        try:
            return self.model.rows(feeds, batch)
        except session.RowsFailed as error:
            raise errors.Rejected("TestFailed", f"{source}: the model fails on {error}") from error


def _invalid(source: str, message: str) -> errors.Rejected:
    return errors.Rejected("InvalidModel", f"{source}: {message}")
