"""How rollouts end under the operator's rule for steps, with and without holding on suspicion.

Simulated: each step has its own evidence with its part of alpha; "waited" is the share of the promoted that a suspicion
held for a while. At 50 requests/s against .5 % errors of stable, unless said otherwise.
"""

import click
import rich.console
import rich.table
from tests.simulation import steps
from tests.simulation.traffic import Scenario

SCENARIOS = {
    "22 % against none": Scenario(rate=50, errors=0.0, candidate_errors=0.22),
    "5 %": Scenario(rate=50, candidate_errors=0.05),
    "5 %, 10/s": Scenario(rate=10, candidate_errors=0.05),
    "5 %, 5/s, stable one minute old": Scenario(rate=5, candidate_errors=0.05, history=12),
    "2 %": Scenario(rate=50, candidate_errors=0.02),
    "healthy": Scenario(rate=50),
    "healthy, 5/s": Scenario(rate=5),
    "healthy, bursts of 5, 20/s": Scenario(rate=20, burst=5),
    "healthy, pods by 30 %": Scenario(rate=50, spread=0.3),
}


@click.command()
@click.option("--runs", default=200, show_default=True, help="Simulated rollouts per row.")
@click.option("--seed", default=1, show_default=True)
def command(runs: int, seed: int) -> None:
    """Promoted, rolled back and kept waiting, by steps and scenario."""
    sheet = rich.table.Table(title=f"{runs} rollouts a row, seed {seed}")
    for heading in ("candidate", "steps", "promoted without suspicion", "promoted", "rolled back", "waited"):
        sheet.add_column(heading, justify="left" if heading in ("candidate", "steps") else "right")
    for name, scenario in SCENARIOS.items():
        for plan in (steps.SHORT, steps.QUICK, steps.MINUTES, steps.DEFAULT):
            before = steps.ends(scenario, plan, runs=runs, seed=seed, suspicion=False)
            now = steps.ends(scenario, plan, runs=runs, seed=seed)
            shares = (before.promoted, now.promoted, now.rolled_back, now.waited)
            sheet.add_row(name, plan.name, *(f"{100 * share:.1f} %" for share in shares))
    rich.console.Console(width=150).print(sheet)
