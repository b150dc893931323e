"""Quality after promotion: false alarms of versions that stay as good as they were, and days until a drop is found."""

import sys

import click
import rich.console
import rich.table
from tests.simulation import quality_study
from tests.simulation.quality_study import World

LABELS = (100, 1000, 10_000)
SHARES = (0.10, 0.12, 0.16, 0.25)


@click.command()
@click.option("--versions", default=20, show_default=True, help="Simulated versions per cell.")
@click.option("--days", default=120, show_default=True, help="Of a version that stays as it is.")
@click.option("--seed", default=1, show_default=True)
def command(versions: int, days: int, seed: int) -> None:
    """Who is blamed without a reason, and after how many days is a drop found."""
    sheet = rich.table.Table("answers", *(f"{labels} labels a day" for labels in LABELS), title="holdout: 8 % of 2000")
    kept = True
    for holdout in (True, False):
        for traffic in quality_study.TRAFFIC:
            found = [
                quality_study.run(
                    World(labels, traffic=traffic, holdout=holdout), versions=versions, days=days, seed=seed
                )
                for labels in LABELS
            ]
            kept = kept and not any(one.early or one.days for one in found)
            name = f"8 %, {traffic.__name__}, {'holdout' if holdout else 'first weeks'}"
            sheet.add_row(name, *(f"{one.early + len(one.days)} of {versions} blamed" for one in found))
    for after in SHARES:
        found = [
            quality_study.run(World(labels, after=after), versions=versions, days=quality_study.QUIET + 60, seed=seed)
            for labels in LABELS
        ]
        sheet.add_row(f"{after:.0%}", *(f"{one.share:.0%}, {one.median:g} days" for one in found))
    rich.console.Console().print(sheet)
    if not kept:
        sys.exit("quality: a version that stayed as good as it was is blamed")
