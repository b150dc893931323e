"""What is counted about requests that are passed on to another revision. One event loop writes.

A candidate's series begin at zero when it is first assigned; those of the last few candidates are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, get_args

from prometheus_client import core

from seatrial_server.observe import histogram

Outcome = Literal["ok", "degraded", "rejected", "error", "shed", "unreachable", "late"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
Result = Literal["same", "different", "failed", "dropped"]
RESULTS: tuple[Result, ...] = get_args(Result)
_DIFFERENCE_EDGES = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_MAX_CANDIDATES = 4


class Relayed:
    """Counts by candidate; `ratio` is the share in force of each, `refused` the assignments that were not followed."""

    def __init__(self) -> None:
        self.requests: dict[str, dict[tuple[Outcome, bool], int]] = {}
        self.ratio: dict[str, float] = {}
        self.copies: dict[str, dict[Outcome, int]] = {}
        self.rows: dict[str, dict[Result, int]] = {}
        self.differences: dict[str, histogram.Histogram] = {}
        self.refused = 0
        self.in_flight: int | None = None
        """None where nothing can be relayed: whoever reads the metrics sees by that which servers can."""

    def follow(self, candidate: str, ratio: float) -> None:
        """This share goes to this candidate from now on, and nothing to any other."""
        self.ratio = dict.fromkeys(self.ratio, 0.0)
        self.ratio.pop(candidate, None)
        self.ratio[candidate] = ratio
        self.requests.setdefault(
            candidate, {(outcome, covered): 0 for outcome in OUTCOMES for covered in (True, False)}
        )
        self.copies.setdefault(candidate, dict.fromkeys(OUTCOMES, 0))
        self.rows.setdefault(candidate, dict.fromkeys(RESULTS, 0))
        self.differences.setdefault(candidate, histogram.Histogram(_DIFFERENCE_EDGES))
        for forgotten in list(self.ratio)[:-_MAX_CANDIDATES]:
            for kept in (self.ratio, self.requests, self.copies, self.rows, self.differences):
                del kept[forgotten]

    def keep_all(self) -> None:
        """Nothing is passed on any more."""
        self.ratio = dict.fromkeys(self.ratio, 0.0)

    def count(self, candidate: str, outcome: Outcome, *, covered: bool) -> None:
        """One request; `covered`: the client got a good answer from here instead."""
        counts = self.requests.get(candidate)
        if counts is not None:
            counts[outcome, covered] += 1

    def copied(self, candidate: str, outcome: Outcome) -> None:
        """One copy of a request."""
        if candidate in self.copies:
            self.copies[candidate][outcome] += 1

    def compared(self, candidate: str, result: Result, rows: int) -> None:
        """Rows of a copy."""
        if candidate in self.rows:
            self.rows[candidate][result] += rows

    def differed(self, candidate: str, share: float) -> None:
        """How far the number of a row was from stable's."""
        if candidate in self.differences:
            self.differences[candidate].observe(share)

    def families(self, labels: Mapping[str, str]) -> Iterator[core.Metric]:
        """As Prometheus reads them."""
        requests = core.CounterMetricFamily(
            "seatrial_relayed_requests",
            "Requests that were passed on to a candidate, by how that ended there.",
            labels=[*labels, "candidate", "outcome", "covered"],
        )
        for candidate, counts in self.requests.items():
            for (outcome, covered), count in counts.items():
                requests.add_metric([*labels.values(), candidate, outcome, str(covered).lower()], count)
        yield requests
        copies = core.CounterMetricFamily(
            "seatrial_shadow_requests",
            "Copies of requests for a candidate, by how they ended there.",
            labels=[*labels, "candidate", "outcome"],
        )
        for candidate, outcomes in self.copies.items():
            for outcome, count in outcomes.items():
                copies.add_metric([*labels.values(), candidate, outcome], count)
        yield copies
        rows = core.CounterMetricFamily(
            "seatrial_shadow_rows",
            "Rows of copies that a candidate got, by how its answers compare with those given.",
            labels=[*labels, "candidate", "result"],
        )
        for candidate, results in self.rows.items():
            for result, count in results.items():
                rows.add_metric([*labels.values(), candidate, result], count)
        yield rows
        differences = core.HistogramMetricFamily(
            "seatrial_shadow_difference",
            "Differences between a candidate's numbers and those given, as shares of the range of those given.",
            labels=[*labels, "candidate"],
        )
        for candidate, one in self.differences.items():
            differences.add_metric([*labels.values(), candidate], one.cumulative(), one.total)
        yield differences
        ratio = core.GaugeMetricFamily(
            "seatrial_relay_ratio", "Share of the requests that is passed on now.", labels=[*labels, "candidate"]
        )
        for candidate, share in self.ratio.items():
            ratio.add_metric([*labels.values(), candidate], share)
        yield ratio
        in_flight = core.GaugeMetricFamily(
            "seatrial_relay_in_flight_requests", "Relayed requests without an answer yet.", labels=list(labels)
        )
        if self.in_flight is not None:
            in_flight.add_metric(list(labels.values()), self.in_flight)
        yield in_flight
        refused = core.CounterMetricFamily(
            "seatrial_relay_refused_assignments", "Assignments that are not followed.", labels=list(labels)
        )
        refused.add_metric(list(labels.values()), self.refused)
        yield refused
