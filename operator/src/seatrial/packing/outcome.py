"""What came of it: the package with what was found, as the command prints it and a notebook shows it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from seatrial.packing import choosing, comparing, expectations, rows, sources, tables
from seatrial.rollout import report


class Packed(msgspec.Struct, frozen=True):
    """A package. `uri` is where it was pushed to; `trial` what its trial said, if it was asked for."""

    path: Path
    sha256: str
    size: int
    version: str
    findings: tuple[str, ...]
    difference: comparing.Difference | None = None
    uri: str = ""
    trial: report.Report | None = None

    @property
    def spec_model(self) -> str:
        """`spec.model` of the ModelDeployment, to paste."""
        uri = self.uri or f"<where you put {self.path.name}>"
        version = f'\n    version: "{self.version}"' if self.version else ""
        return f"spec:\n  model:\n    uri: {uri}\n    sha256: {self.sha256}{version}"

    def __str__(self) -> str:
        """What the command prints."""
        lines = [*self.findings, "", f"{self.path}: {self.size} bytes, sha256 {self.sha256}"]
        if self.trial is not None:
            lines.append(f"trial: {self.trial.message}")
        return "\n".join([*lines, "", self.spec_model])


def findings(
    given: sources.Given,
    made: choosing.Model,
    table: tables.Table,
    gathered: rows.Rows,
    *,
    target: str | None,
    own: bool,
) -> list[str]:
    """What the user should know, a line each. `own`: the holdout rows are from data of their own."""
    columns = made.converted.layout.columns
    texts = [name for name in columns if table.columns[name].kind == "text"]
    classes = f", {len(made.classes)} classes" if made.classes else ""
    inputs = (f"{one.name} {one.datatype} [-1, {len(one.columns)}]" for one in made.converted.layout.inputs)
    lines = [
        f"model: {given.origin}, {made.task}{classes}",
        *(f"note: {note}" for note in given.notes),
        f"data: {table.origin}, {table.rows} rows, {len(columns)} columns ({len(texts)} of text)",
        f"inputs: {', '.join(inputs)}",
        f"conversion: {made.difference.told() if made.difference else 'none, the graph was given'}",
        f"rows: {', '.join(f'{count} {name}' for name, count in gathered.counts().items())}",
    ]
    accuracy = expectations.accuracy(gathered.shown)
    if accuracy is not None:
        lines.append(f"accuracy: {accuracy:.1%} on the holdout rows")
    off = expectations.error(gathered.shown)
    if off is not None:
        lines.append(
            f"error: {off.mean_absolute:.4g} on average (mae), {off.root_mean_square:.4g} root mean square (rmse), in "
            f"the units of {target}, on the holdout rows"
        )
    if target is None:
        lines.append("note: without --target nothing says what is right: no accuracy or error, no holdout rows")
    elif not own:
        lines.append(
            "note: the holdout rows are from --data: if the model was fitted on them, give others with --holdout"
        )
    return lines
