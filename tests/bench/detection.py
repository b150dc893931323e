"""Detection table: who is rolled back, and how fast, by our evidence and by two threshold rules used today.

Simulated rollouts, 10 % to 50 % of traffic in 25 minutes, a look every 15 s, alpha 1 %. "failed checks": the candidate
is rolled back at the 5th (4th) check of 60 s in which it misses 99 %; for latency, 99 % within 100 ms.
"relayed": every request is assigned by a coin, as with provider Relay, whose default has three steps that share alpha.
"bare": without history and without counts pod by pod, as in a short replay file. "young": a look every 5 s, and stable
is one minute old.
"""

import sys

import click
import rich.console
import rich.table
from tests.simulation import study

RULES = ("seatrial", "5 failed checks", "4 failed checks")


@click.command()
@click.option("--runs", default=400, show_default=True, help="Simulated rollouts per row.")
@click.option("--seed", default=1, show_default=True)
def command(runs: int, seed: int) -> None:
    """Share of rollouts rolled back, and median seconds until then, per scenario and rule."""
    sheet = rich.table.Table(title=f"rolled back (median seconds), {runs} rollouts a row, seed {seed}")
    for heading in ("case", *RULES, "required", ""):
        sheet.add_column(heading, justify="left" if heading == "case" else "right")
    kept = True
    for place, cell in enumerate(study.CELLS):
        results = study.run(cell, runs=runs, seed=seed * 1000 + place)
        held = _holds(cell, results["seatrial"])
        kept = kept and held
        sheet.add_row(cell.name, *(_text(results[rule]) for rule in RULES), _required(cell), "" if held else "MISSED")
    rich.console.Console(width=130).print(sheet)
    if not kept:
        sys.exit("detection: a requirement was missed")


def _text(result: study.Result) -> str:
    return f"{100 * result.share:.1f} %" + (f" ({result.median:.0f})" if result.median is not None else "")


def _required(cell: study.Cell) -> str:
    if cell.most is not None:
        return f"<= {100 * cell.most:g} %"
    return f">= {100 * (cell.least or 0):g} %" + (f" (<= {cell.median:g})" if cell.median else "")


def _holds(cell: study.Cell, result: study.Result) -> bool:
    if cell.most is not None:
        return result.share <= cell.most
    in_time = cell.median is None or (result.median is not None and result.median <= cell.median)
    return result.share >= (cell.least or 0) and in_time
