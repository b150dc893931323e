"""Who waits for whom when ten thousand objects want a look at once: the real queue in simulated time.

One processor does all looks, one after the other. At the start every object is due, as after a restart; rollouts are
looked at every second, and people change specs now and then.
"""

from __future__ import annotations

import dataclasses
import random

import click
import rich.console
import rich.table

from seatrial.control import queue

ROLLOUT_EVERY = 1.0  # seconds between two looks at a rollout, as while its pods are read
WRITING = 0.020  # seconds of the processor that a look with writes takes, as measured by `scale` with new objects


@dataclasses.dataclass
class Simulation:
    """Waits by lane."""

    objects: int
    rollouts: int
    changes_per_second: float
    look: float
    now: float = 0.0
    waits: dict[queue.Lane, list[float]] = dataclasses.field(default_factory=lambda: {lane: [] for lane in queue.Lane})

    def run(self, seconds: float, *, seed: int) -> Simulation:
        rng = random.Random(seed)
        line = queue.Queue(now=lambda: self.now, rng=rng)
        due = {queue.Key("n", f"o-{number}"): 0.0 for number in range(self.objects)}
        for key in due:
            line.add(key)
        rolling = {queue.Key("r", f"r-{number}") for number in range(self.rollouts)}
        for key in rolling:
            due[key] = rng.uniform(0, ROLLOUT_EVERY)
            line.add(key, after=due[key], lane=queue.Lane.ROLLOUT)
        lanes = dict.fromkeys(rolling, queue.Lane.ROLLOUT)
        change_at = rng.expovariate(self.changes_per_second)
        while self.now < seconds:
            if self.now >= change_at:
                key = queue.Key("n", f"o-{rng.randrange(self.objects)}")
                due[key], lanes[key] = change_at, queue.Lane.CHANGED
                line.add(key, lane=queue.Lane.CHANGED)
                change_at += rng.expovariate(self.changes_per_second)
                continue
            taken = line.take()
            if taken is None:
                self.now = min(change_at, line.next_due() or seconds)
                continue
            lane = lanes.get(taken, queue.Lane.OTHER)
            self.waits[lane].append(self.now - due[taken])
            self.now += self.look + (WRITING if lane is queue.Lane.CHANGED else 0.0)
            again = ROLLOUT_EVERY if taken in rolling else None
            line.done(taken, queue.Result(look_again_in=again, in_flight=taken in rolling))
            due[taken] = self.now + ROLLOUT_EVERY
            if taken not in rolling:
                lanes.pop(taken, None)
        return self


@click.command()
@click.option("--look", default=2.2, show_default=True, help="Milliseconds of the processor for a look at rest.")
@click.option("--seconds", default=120, show_default=True, help="Simulated time.")
def command(look: float, seconds: int) -> None:
    """Seconds that a look waits, by lane, when every object is due at once."""
    sheet = rich.table.Table(title=f"look of {look:g} ms, all due at once, 5 changed specs a second")
    for heading in ("objects", "rollouts", "rollout p99, s", "changed spec p99, s", "last of the others, s"):
        sheet.add_column(heading, justify="right")
    for objects, rollouts in ((1000, 20), (10_000, 20), (10_000, 100), (10_000, 200)):
        waits = Simulation(objects, rollouts, 5.0, look / 1000).run(seconds, seed=1).waits
        sheet.add_row(
            f"{objects}",
            f"{rollouts}",
            f"{_late(waits[queue.Lane.ROLLOUT]):.3f}",
            f"{_late(waits[queue.Lane.CHANGED]):.3f}",
            f"{max(waits[queue.Lane.OTHER]):.1f}",
        )
    rich.console.Console(width=100).print(sheet)


def _late(waits: list[float]) -> float:
    return sorted(waits)[int(len(waits) * 0.99)]
