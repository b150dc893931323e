"""What the card says, as data: model.yaml's words, the trial's numbers, the bytes' digests. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from seatrial_server.cards import lineage
from seatrial_server.host import config
from seatrial_server.model import schema
from seatrial_server.trial import report

NOT_STATED = "not stated"


class Facts(msgspec.Struct, frozen=True):
    """Texts are empty and tuples too where nothing is said. `trial` is empty before there was one.

    `serving` and `measured`: what a cluster says of the version, in words and as figures by labels of its answers; only
    somebody who asked it knows them.
    """

    name: str
    version: str
    sha256: str
    card: schema.Card
    lineage: lineage.Lineage
    inputs: tuple[schema.TensorSpec, ...] = ()
    outputs: tuple[schema.TensorSpec, ...] = ()
    trial: report.Report | None = None
    serving: tuple[tuple[str, str], ...] = ()
    measured: tuple[report.Evaluation, ...] = ()

    @property
    def evaluation(self) -> tuple[report.Evaluation, ...]:
        """What was measured: in the trial, then by labels while it served."""
        return (*(self.trial.evaluation if self.trial else ()), *self.measured)

    @property
    def fairness(self) -> tuple[report.TestResult, ...]:
        """The tests of fairness: gaps and ratios between groups."""
        tests = self.trial.tests if self.trial else ()
        return tuple(test for test in tests if str(test.metric).startswith(("gap of ", "ratio of ")))

    @property
    def not_stated(self) -> tuple[str, ...]:
        """Fields of model.yaml that nobody has filled in."""
        said = {
            "owner": self.card.owner,
            "license": self.card.license,
            "intendedUse": self.card.intended_use,
            "outOfScope": self.card.out_of_scope,
            "limitations": self.card.limitations,
            "ethics": self.card.ethics,
            "architecture": self.card.architecture,
            "rationale": self.card.rationale,
            "provenance.data": self.lineage.data,
            "provenance.code": self.lineage.code_revision,
        }
        return tuple(name for name, value in said.items() if not value)


def of(
    model: config.ModelRef,
    card: schema.Card,
    *,
    trial: report.Report | None = None,
    tensors: schema.Schema | None = None,
) -> Facts:
    """All that is known of a version."""
    return Facts(
        name=model.name,
        version=model.version,
        sha256=model.sha256,
        card=card,
        lineage=lineage.read(card.provenance, card.hyperparameters),
        inputs=tensors.inputs if tensors else (),
        outputs=tensors.outputs if tensors else (),
        trial=trial,
    )


def sentences(given: tuple[str, ...] | str) -> tuple[str, ...]:
    """A list, whether one was given or a single one."""
    return tuple(filter(None, (given,) if isinstance(given, str) else given))


def figures(facts: Facts) -> Iterable[tuple[str, str]]:
    """What the trial found out besides metrics, as names and values."""
    if facts.trial is None:
        return
    trial, quantized = facts.trial, facts.trial.quantization
    yield "trial", f"{trial.outcome}: {trial.message}"
    yield "precision", trial.precision
    yield "served sha256", trial.served_sha256
    yield "onnxruntime", trial.environment.onnxruntime
    if quantized.disagreement is not None:
        yield "int8 disagreement", f"{quantized.disagreement:.4g} of {quantized.rows} rows"
    if quantized.speedup1 is not None:
        yield "int8 speed-up", f"{quantized.speedup1:.3g} times with one row"
