"""Random sequences of what can happen between two pods, by the thousand: no promise of the relay may break.

The promises and the happenings are those of tests/contract/server/relay_scene.py. A sequence that breaks one is made as
short as possible and printed.
"""

import collections
import logging
import sys
import time

import click
import hypothesis
import uvloop
from tests.contract.server.relay_scene import Scene
from tests.contract.server.relay_steps import SEQUENCES, Sequence


@click.command()
@click.option("--count", default=2000, show_default=True, help="How many sequences.")
@click.option("--seed", default=1, show_default=True, help="Another seed, other sequences.")
def command(count: int, seed: int) -> None:
    """Random sequences with a real pair of servers: none may hurt a client."""
    logging.disable(logging.WARNING)  # the pods say what happens to them, thousands of times
    began, played = time.monotonic(), collections.Counter[str]()
    seen: collections.Counter[str] = collections.Counter()

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(SEQUENCES)
    def sequences(sequence: Sequence) -> None:
        async def run() -> None:
            scene = Scene(sequence)
            await scene.play()
            played.update(["sequences"])
            played.update({"requests": scene.sent})
            for (outcome, covered), number in scene.stable.relayed().items():
                seen[f"{outcome}, {'covered' if covered else 'passed on'}"] += number
            seen["stable's own"] += scene.stable.answered

        uvloop.run(run())

    try:
        sequences()
    finally:
        counted = ", ".join(f"{number} {name}" for name, number in played.items())
        click.echo(f"relay-sequences: {counted} in {time.monotonic() - began:.0f} s", file=sys.stderr)
        for name, number in sorted(seen.items()):
            click.echo(f"  {number:>8} {name}", file=sys.stderr)
