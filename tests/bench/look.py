"""What a look costs the operator: CPU from samples to a judgement, by window and pods.

"all samples": reading a whole window, as after a restart. "a look": the samples of the last minutes, to slots of which
the older ones are folded, and the judgement over all of them.
"""

import statistics
import time

import click
import msgspec
import numpy as np
import rich.console
import rich.table

from seatrial.analysis import counters, fold, policy, slots, verdict
from seatrial.analysis.counters import Arm, Counter, Pod, Series

SCRAPE = 15.0
EDGES = (
    *("0.00025", "0.0005", "0.001", "0.002", "0.003", "0.005", "0.0075", "0.01", "0.015", "0.025", "0.05"),
    *("0.1", "0.25", "0.5", "1.0", "2.5", "10.0", "+Inf"),
)
WINDOWS = ((0.25, 5), (1, 20), (12, 3), (12, 20))  # hours, pods


@click.command()
def command() -> None:
    """CPU milliseconds of a look."""
    sheet = rich.table.Table(title="CPU of one look, ms")
    for heading in ("window, h", "pods", "slots", "all samples", "a look"):
        sheet.add_column(heading, justify="right")
    for hours, pods in WINDOWS:
        end = 3600 * hours
        series, known = _world(end, pods)
        recent = [msgspec.structs.replace(one, samples=one.samples[-20:]) for one in series]
        begun = time.process_time()
        done = fold.older(_read(series, known, end=end - 2 * SCRAPE).slots)
        read = time.process_time() - begun
        del series
        looks = [_look(recent, known, done, end=end) for _ in range(5)]
        count = round(statistics.median(number for number, _ in looks))
        spent = statistics.median(seconds for _, seconds in looks)
        sheet.add_row(f"{hours:g}", str(pods), str(count), f"{1000 * read:.0f}", f"{1000 * spent:.0f}")
    rich.console.Console(width=100).print(sheet)


def _read(series: list[Series], known: list[Pod], *, start: float = 0.0, end: float) -> counters.Reading:
    return counters.read(series, known, start=start, end=end, interval=SCRAPE, scrape_interval=SCRAPE)


def _look(recent: list[Series], known: list[Pod], done: tuple[slots.Slot, ...], *, end: float) -> tuple[int, float]:
    """(slots, CPU seconds) of one look that goes on from finished slots."""
    begun = time.process_time()
    since = sum(slot.seconds for slot in done)
    reading = _read(recent, known, start=since, end=end)
    kept = fold.older((*done, *reading.slots))
    verdict.judge(kept, policy.Policy(), blind=reading.blind, unseen=reading.unseen)
    return len(kept), time.process_time() - begun


def _world(seconds: float, pods: int) -> tuple[list[Series], list[Pod]]:
    """Pods that are scraped alike; a quarter of them the candidate's."""
    rng = np.random.default_rng(1)
    series, known = [], []
    for number in range(pods):
        arm = Arm.CANDIDATE if number % 4 == 0 else Arm.STABLE
        known.append(Pod(arm=arm, name=f"p{number}"))
        times = np.arange(-30 + number * 0.7, seconds, SCRAPE)
        totals = np.cumsum(rng.poisson(75, len(times)))
        shares = {"ok": 0.995, "error": 0.005, "rejected": 0.0, "degraded": 0.0, "shed": 0.0}
        for outcome, share in shares.items():
            series.append(_one(arm, number, Counter.REQUESTS, outcome, times, np.floor(totals * share)))
        for place, edge in enumerate(EDGES):
            slower = 0.5 ** max(0, place - 2) if edge != "+Inf" else 0.0
            series.append(_one(arm, number, Counter.LATENCY, edge, times, np.floor(totals * (1 - slower))))
    return series, known


def _one(arm: Arm, number: int, counter: Counter, label: str, times: np.ndarray, values: np.ndarray) -> Series:
    samples = list(zip(times.tolist(), values.astype(float).tolist(), strict=True))
    return Series(arm=arm, pod=f"p{number}", counter=counter, label=label, samples=samples)


if __name__ == "__main__":
    command()
