"""Labels that come late: equal and worse candidates, judged by the time of the request and by that of arrival."""

import sys

import click
import rich.console
import rich.table
from tests.simulation import label_study

SHARES = (label_study.WRONG, 0.10, 0.12, 0.16)


@click.command()
@click.option("--canaries", default=60, show_default=True, help="Simulated canaries per row.")
@click.option("--seed", default=1, show_default=True)
def command(canaries: int, seed: int) -> None:
    """How many are convicted, and after how many minutes."""
    sheet = rich.table.Table("candidate wrong", "judged", "convicted", "median minutes", title="stable 8 % wrong")
    kept = True
    for wrong in SHARES:
        for arrival in (False, True):
            found = label_study.run(wrong, canaries=canaries, seed=seed, arrival=arrival)
            how = "by arrival" if arrival else "by cohort"
            sheet.add_row(f"{wrong:.0%}", how, f"{found.share:.0%}", f"{found.median:g}")
            kept = kept and (arrival or wrong > label_study.WRONG or not found.minutes)
    rich.console.Console().print(sheet)
    if not kept:
        sys.exit("labels: an equal candidate was convicted")
