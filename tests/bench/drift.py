"""Drift: who alarms without a reason, and how soon a change is found, beside PSI and KS over the same traffic.

Deployments of five columns, two pods, a reference of 2000 rows, a bound for 20 columns. Months that stay as they are,
and months in which something changes on the eleventh day at seven in the morning. A mean that wanders is at times
beyond what is tolerated: an alarm on a window whose expected shares were is no false one.
"""

import sys

import click
import numpy as np
import rich.console
import rich.table
from tests.simulation import drift_study
from tests.simulation.drift_study import Alarms, Case

RULES = (drift_study.OURS, *drift_study.PEERS)
FEATURES = 5
LATE_DAYS = 35


@click.command()
@click.option("--deployments", default=100, show_default=True, help="Simulated deployments per cell.")
@click.option("--days", default=120, show_default=True, help="Simulated days in which nothing changes.")
@click.option("--seed", default=1, show_default=True)
def command(deployments: int, days: int, seed: int) -> None:
    """False alarms and time to detection, per kind of traffic, rows a day and rule."""
    console = rich.console.Console(width=170)
    kept = _changes(console, max(2, deployments // 5), seed)
    kept = _quiet(console, deployments, days, seed) and kept
    if not kept:
        sys.exit("drift: a promise was missed")


def _quiet(console: rich.console.Console, deployments: int, days: int, seed: int) -> bool:
    """Whether nothing alarmed that must not."""
    sheet = _sheet(f"false alarms: share of {deployments} deployments in {days} days; rows a day 1e3 / 1e4 / 1e5 / 1e6")
    kept = True
    for case in (*drift_study.QUIET, *drift_study.FEW_REFERENCE_ROWS, drift_study.NO_SEASON):
        cells = [
            drift_study.run(case, volume, deployments=deployments, features=FEATURES, days=days, seed=seed)
            for volume in drift_study.VOLUMES
        ]
        allowed = case is drift_study.NO_SEASON or not any(cell.false() for cell in cells)
        kept = kept and allowed
        texts = (" / ".join(f"{100 * cell.deployments(rule):.3g}" for cell in cells) + " %" for rule in RULES)
        _row(sheet, case.name, *texts, "" if allowed else "MISSED")
    console.print(sheet)
    return kept


def _changes(console: rich.console.Console, deployments: int, seed: int) -> bool:
    """Whether all that is promised was found in time."""
    sheet = _sheet(f"days until found: median of {deployments * FEATURES} columns; rows a day 1e3 / 1e4 / 1e5 / 1e6")
    kept = True
    for case in drift_study.CHANGES:
        cells = {
            volume: drift_study.run(case, volume, deployments=deployments, features=FEATURES, days=LATE_DAYS, seed=seed)
            for volume in drift_study.VOLUMES
        }
        held = _held(case, cells)
        kept = kept and held
        texts = (" / ".join(_days(cell, rule) for cell in cells.values()) for rule in RULES)
        _row(sheet, case.name, *texts, "" if held else "MISSED")
    console.print(sheet)
    return kept


def _held(case: Case, cells: dict[float, Alarms]) -> bool:
    promises = [promise for promise in drift_study.PROMISES if promise.case is case]
    return all(cells[promise.per_day].days(drift_study.OURS) <= promise.days for promise in promises)


def _days(cell: Alarms, rule: str) -> str:
    early, days = cell.early(rule), cell.days(rule)
    if early >= 0.2:
        return f"early {100 * early:.0f}%"
    if np.isinf(days):
        return f"{100 * cell.found(rule):.0f}% found" if cell.found(rule) else "never"
    return f"{days:.2g}"


def _sheet(title: str) -> rich.table.Table:
    sheet = rich.table.Table(title=title)
    for heading in ("case", *RULES, ""):
        sheet.add_column(heading, justify="left" if heading == "case" else "right")
    return sheet


def _row(sheet: rich.table.Table, *cells: str) -> None:
    """Also to standard error, at once: the whole takes a quarter of an hour."""
    sheet.add_row(*cells)
    click.echo(" | ".join(cells), err=True)
