"""Random histories of rollouts, by the thousand: `python -m tests.bench histories --count 20000 --seed 1`.

Each number from seed on is a history of its own and can be played again alone. A promise that is broken is printed with
the few happenings that it takes. One history in `--thorough` has real samples and the whole analysis; others a brief
judgement of true counts, see tests/unit/rollout/surroundings.py.
"""

import collections
import sys
import time

import click
from tests.unit.rollout import histories


@click.command()
@click.option("--count", default=1000, show_default=True, help="How many histories.")
@click.option("--seed", default=1, show_default=True, help="Number of the first.")
@click.option("--thorough", default=50, show_default=True, help="One in so many is judged from real samples.")
def command(count: int, seed: int, thorough: int) -> None:
    """Histories in which a promise is broken: none, or the command fails."""
    began, broken = time.monotonic(), collections.defaultdict(list)
    for number in range(seed, seed + count):
        whole = number % thorough == 0
        if said := histories.failure(histories.random_events(number), seed=number, thorough=whole):
            broken[said[:60]].append((number, whole))
            click.echo(f"broken: {number}, {said}", err=True)
    click.echo(
        f"{count} histories from {seed} on in {time.monotonic() - began:.0f} s, {sum(map(len, broken.values()))} broken"
    )
    for said, numbers in broken.items():
        number, whole = numbers[0]
        events = histories.shortened(histories.random_events(number), seed=number, thorough=whole)
        click.echo(f"{len(numbers)} times: {said}; numbers {[one for one, _ in numbers[:5]]}")
        click.echo(f"  {number}{' (thorough)' if whole else ''}: {[tuple(event) for event in events]}")
        click.echo(f"  {histories.failure(events, seed=number, thorough=whole)}")
    if broken:
        sys.exit("histories: a promise was broken")
