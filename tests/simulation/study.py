"""The cells of the detection table: scenario, what must be reached, and running them."""

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from tests.simulation import rules, traffic
from tests.simulation.traffic import Scenario

from seatrial.analysis import table

ALPHA = 0.01
STEPS, RELAY_STEPS = 2, 3  # that share alpha by default
ONE_STEP = 120.0
SLOW = table.FIRST_EDGE + traffic.EDGES.index(0.1)


@dataclasses.dataclass(frozen=True)
class Cell:
    """`most`: highest share of runs rolled back; `least` and `median`: lowest share, and seconds until then.

    From 10 % to 50 % in 25 minutes, or one step of `share` for two minutes, which has its part of alpha.
    """

    name: str
    scenario: Scenario
    most: float | None = None
    least: float | None = None
    median: float | None = None
    column: int = table.ERRORS  # what the peers' rules look at
    interval: float = traffic.INTERVAL
    share: float | None = None


@dataclasses.dataclass(frozen=True)
class Result:
    """Share of runs rolled back, and the median of seconds until then."""

    share: float
    median: float | None


BARE = Scenario(history=0, told_apart=False)  # as a replay file without history and pods

YOUNG = Scenario(history=12)  # slots of 5 s: stable is one minute old


def _young(name: str, **more: Any) -> Cell:
    return Cell(f"young: {name}", dataclasses.replace(YOUNG, **more), most=0.015, interval=5.0)


HEALTHY = [
    *(Cell(f"healthy, {rate:g}/s", Scenario(rate=rate), most=0.01) for rate in (1, 5, 20, 100)),
    Cell("shared outage 3 %, 5/s", Scenario(rate=5, outage_errors=0.03), most=0.01),
    Cell("shared outage 3 %, 100/s", Scenario(outage_errors=0.03), most=0.01),
    Cell("errors in bursts of 5, 1/s", Scenario(rate=1, burst=5), most=0.015),
    Cell("errors in bursts of 5, 20/s", Scenario(rate=20, burst=5), most=0.015),
    Cell("errors in bursts of 5, 100/s", Scenario(burst=5), most=0.015),
    Cell("pods differing by 30 %, 20/s", Scenario(rate=20, spread=0.3), most=0.015),
    Cell("pods differing by 30 %, 100/s", Scenario(spread=0.3), most=0.015),
    Cell("bursts of 5 and pods by 30 %, 100/s", Scenario(burst=5, spread=0.3), most=0.015),
    Cell("latency: body +20 %, 100/s", Scenario(candidate_median=0.024), most=0.01, column=SLOW),
    Cell("latency: body +20 %, 20/s", Scenario(rate=20, candidate_median=0.024), most=0.01, column=SLOW),
    Cell("traffic x10 within the run, 10/s", Scenario(rate=10, diurnal=True), most=0.01),
    Cell("traffic x10 within the run, 100/s", Scenario(diurnal=True), most=0.01),
    *(_young(f"healthy, {rate:g}/s", rate=rate) for rate in (1, 5, 20, 100)),
    *(_young(f"errors in bursts of 5, {rate:g}/s", rate=rate, burst=5) for rate in (1, 5, 20, 100)),
    *(_young(f"pods differing by 30 %, {rate:g}/s", rate=rate, spread=0.3) for rate in (5, 20, 50, 100)),
    _young("bursts of 5 and pods by 30 %, 100/s", burst=5, spread=0.3),
    Cell("bare: bursts of 5, 20/s", dataclasses.replace(BARE, rate=20, burst=5), most=0.015),
    Cell("bare: bursts of 5, 100/s", dataclasses.replace(BARE, burst=5), most=0.015),
]
REGRESSED = [
    Cell("5 % against .5 %, 100/s", Scenario(candidate_errors=0.05), least=0.99, median=75),
    Cell("2 % against .5 %, 100/s", Scenario(candidate_errors=0.02), least=0.99, median=300),
    Cell("2 % against .5 %, 20/s", Scenario(rate=20, candidate_errors=0.02), least=0.90),
    Cell("every request fails, 5/s", Scenario(rate=5, candidate_errors=1.0), least=0.99, median=30),
    Cell("latency: body +30 %, 100/s", Scenario(candidate_median=0.026), least=0.99, median=180, column=SLOW),
    Cell("latency: slow share 1 % -> 3 %, 100/s", Scenario(slow=0.01, candidate_slow=0.03), least=0.95, column=SLOW),
    Cell("bare: 5 % against .5 %, 100/s", dataclasses.replace(BARE, candidate_errors=0.05), least=0.99, median=75),
    Cell("bare: 2 % against .5 %, 20/s", dataclasses.replace(BARE, rate=20, candidate_errors=0.02), least=0.90),
    Cell(
        "bare: body +30 %, 100/s",
        dataclasses.replace(BARE, candidate_median=0.026),
        least=0.99,
        median=210,
        column=SLOW,
    ),
    Cell("pods by 30 %, 5 % against .5 %, 100/s", Scenario(spread=0.3, candidate_errors=0.05), least=0.99),
    Cell("pods by 30 %, 2 % against .5 %, 100/s", Scenario(spread=0.3, candidate_errors=0.02), least=0.80),
]
for interval in (5.0, 1.0):
    history = round(60 / interval)
    REGRESSED.append(
        Cell(
            f"young: 5 % against .5 %, 50/s, share 20 %, slots of {interval:g} s",
            Scenario(rate=50, candidate_errors=0.05, history=history),
            least=0.99,
            median=25,
            interval=interval,
            share=0.2,
        )
    )


def _relayed(cell: Cell) -> Cell:
    """The same traffic, where a coin decides about each request."""
    scenario = dataclasses.replace(cell.scenario, relayed=True)
    return dataclasses.replace(cell, name=f"relayed: {cell.name}", scenario=scenario)


BY_POD = (HEALTHY[:], REGRESSED[:])
HEALTHY += [_relayed(cell) for cell in BY_POD[0] if cell.scenario.told_apart]
REGRESSED += [_relayed(cell) for cell in BY_POD[1] if cell.share is None and cell.scenario.told_apart]
RELAYED = Scenario(rate=50, relayed=True, history=0)
for rate in (5, 20, 50, 100):
    calm = dataclasses.replace(RELAYED, rate=rate)
    HEALTHY.append(Cell(f"relayed: no record, {rate}/s", calm, most=0.01, interval=5.0))
    bursts = dataclasses.replace(calm, burst=5)
    HEALTHY.append(Cell(f"relayed: no record, bursts of 5, {rate}/s", bursts, most=0.015, interval=5.0))
for history in (0, 60, 3600):
    known = dataclasses.replace(RELAYED, history=history, candidate_errors=0.05)
    words = f"relayed: 5 % against .5 %, 50/s, 10 %, record of {history} s"
    REGRESSED.append(Cell(words, known, least=0.98, median=45, interval=1.0, share=0.1))
for rate in (50, 20):
    failing = dataclasses.replace(RELAYED, rate=rate, candidate_errors=1.0)
    words = f"relayed: every request fails, {rate}/s, 10 %"
    REGRESSED.append(Cell(words, failing, least=0.99, median=3 if rate == 50 else 6, interval=1.0, share=0.1))
CELLS = [*HEALTHY, *REGRESSED]


def run(cell: Cell, *, runs: int, seed: int, peers: bool = True) -> dict[str, Result]:
    """Results by rule."""
    slots = round(ONE_STEP / cell.interval)
    weights = traffic.ramp(cell.interval) if cell.share is None else np.full(slots, cell.share)
    times: dict[str, list[float | None]] = {"seatrial": [], "5 failed checks": [], "4 failed checks": []}
    for number in range(runs):
        rows = traffic.rollout(
            cell.scenario, np.random.default_rng([seed, number]), weights=weights, interval=cell.interval
        )
        times["seatrial"].append(rules.evidence(rows, alpha=_alpha(cell)))
        if peers:
            times["5 failed checks"].append(rules.failed_checks(rows, limit=5, column=cell.column))
            times["4 failed checks"].append(rules.failed_checks(rows, limit=4, column=cell.column))
    return {rule: _result(found) for rule, found in times.items() if found}


def _alpha(cell: Cell) -> float:
    if cell.share is None:
        return ALPHA
    return ALPHA / (RELAY_STEPS if cell.scenario.relayed else STEPS)


def _result(found: Sequence[float | None]) -> Result:
    hits = [seconds for seconds in found if seconds is not None]
    return Result(share=len(hits) / len(found), median=statistics.median(hits) if hits else None)
