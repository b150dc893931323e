"""All tests of a canary after each slot, as arrays. `verdict` reads a course; it makes no decision itself.

Row k of everything here depends on slots 0..k only.
"""

from __future__ import annotations

import dataclasses
import enum
import math

import numpy as np

from seatrial.analysis import dispersion, evidence, slower, table
from seatrial.analysis import policy as policies
from seatrial.analysis import slots as slots_
from seatrial.analysis.evidence import Floats

Bools = table.Bools

OFF = evidence.HIGHEST_SHARE  # a maximum of 95 % or more forbids nothing
SUSPICION = 2.0  # evidence, untempered
CLEARED = 1.0
OUTLIVED = math.log(100)
FEW_EVENTS = 2.0  # one bad answer is an accident
UNTIMED = 10.0  # seconds from the first request on in which a relayed candidate's buckets may be behind
SEEN_PART = 0.8  # of the candidate's requests: a metric that was told for fewer has not been judged
GUARD_PART = 0.25  # of the metric's alpha, for its absolute guard; `verdict` shows why it fits under the whole


class Kind(enum.Enum):
    RELATIVE = "relative"
    MAXIMUM = "maximum"


@dataclasses.dataclass(frozen=True)
class Test:
    """One question, asked over and over.

    Attributes:
        columns: of the table; several only for latency, whose edges are averaged.
        log_evidence: after each slot, [T].
        bound: what exp(log_evidence) must reach.
        limit: margin per slot and column for RELATIVE ([T, len(columns)]), the maximum share for MAXIMUM.
        usual: place in `columns` of the one to show while none has evidence.
        suspected: where a step's end would be luck: [T].
        excused: where stable does the same, so that reaching the bound is not the candidate's fault: [T].
        shared: where both look worse than is allowed, proven or not, so that nobody should go on: [T].
    """

    name: str
    kind: Kind
    columns: tuple[int, ...]
    log_evidence: Floats
    suspected: Bools
    by_column: Floats
    bound: float
    limit: Floats
    excused: Bools
    shared: Bools
    usual: int = 0

    def strongest(self, slot: int) -> int:
        """Place in `columns` of the one with the most evidence."""
        place = int(np.argmax(self.by_column[slot]))
        return place if self.by_column[slot, place] > 0 else self.usual

    @property
    def reached(self) -> Bools:
        return self.log_evidence >= math.log(self.bound)

    @property
    def breach(self) -> int | None:
        """First slot at which the bound was reached without excuse."""
        hits = np.flatnonzero(self.reached & ~self.excused)
        return int(hits[0]) if len(hits) else None


@dataclasses.dataclass(frozen=True)
class Course:
    table: table.Table
    phi: Floats  # [T, C]
    tests: tuple[Test, ...]
    no_worse: dict[str, Floats]  # log evidence that the candidate is within the tolerance, [T]


def run(rows: table.Table, policy: policies.Policy) -> Course:
    """Every test over every slot."""
    phi = dispersion.phi(rows, policy.dispersion)
    margin = dispersion.margin(rows, _tolerances(rows, policy), spread=policy.spread)
    late = margin[:, table.FIRST_EDGE :]
    np.maximum(late, slower.margin(rows, policy.latency.tolerance), out=late)
    by_column, untempered = (_by_column(rows, margin=margin, noise=noise) for noise in (phi, np.ones_like(phi)))
    alpha = policy.false_rollback_rate
    edges = compared_edges(rows.edges, policy.latency.floor)
    guard = guard_edge(rows.edges, policy.latency.threshold)
    questions = [
        ("errors", (table.ERRORS,), 0),
        ("latency", edges, edges.index(guard) if guard in edges else 0),
        ("rejections", (table.REJECTIONS,), 0),
        ("degraded", (table.DEGRADED,), 0),
        ("shed", (table.SHED,) if _anything_shed(rows) else (), 0),
    ]
    relative = [
        _relative(
            name,
            columns,
            by_column=by_column,
            untempered=untempered,
            events=rows.events_candidate,
            requests=rows.requests_of(columns[0])[0],
            phi=phi,
            margin=margin,
            bound=1 / (alpha * shares(policy)[name]),
            usual=usual,
        )
        for name, columns, usual in questions
        if columns
    ]
    return Course(
        table=rows,
        phi=phi,
        tests=(*relative, *_guards(rows, policy, phi, margin)),
        no_worse=_no_worse(rows, policy, phi),
    )


def suspected(untempered: Floats, events: Floats, *, requests: Floats, phi: Floats) -> Bools:
    """Where the candidate looks worse, proven or not: a step's end would be luck.

    From twice as likely on until what follows makes it less likely than not. A hold costs time only, so bursts are not
    discounted here. At five requests a second two steps of a minute would else promote nine of ten candidates that fail
    5 % where stable fails .5 %.

    Where stable has no events, none ever speaks for the candidate. So a suspicion also ends when it is outlived: with
    the least share that there can have been up to the last event, so many requests without another would happen once in
    a hundred times.

    Args:
        untempered: log evidence, [T].
        events: of the candidate, by column: [T, columns].
        requests: the candidate's, [T].
        phi: dispersion in force, [T, columns].
    """
    sums = np.cumsum(events, axis=0)
    enough = sums.max(axis=1) >= FEW_EVENTS
    outlived = _quiet(sums, events, np.cumsum(requests)[:, None], phi) >= OUTLIVED
    calm = (outlived | (sums == 0)).all(axis=1)
    risen, fallen = (untempered >= math.log(SUSPICION)) & enough & ~calm, (untempered < math.log(CLEARED)) | calm
    last = np.maximum.accumulate(np.where(risen | fallen, np.arange(len(risen)), -1))
    held: Bools = (last >= 0) & risen[last]
    return held


def _quiet(sums: Floats, events: Floats, requests: Floats, phi: Floats) -> Floats:
    """Events to be expected since the last one, in clumps of phi, had the share up to it gone on: [T, columns].

    The share is its lower 95 % limit, for few events may be luck (Wilson and Hilferty's cube root for a Poisson count).
    """
    rows = np.arange(len(events))[:, None]
    last = np.maximum.accumulate(np.where(events > 0, rows, 0), axis=0)
    until = np.take_along_axis(np.broadcast_to(requests, sums.shape), last, axis=0)
    counted = np.maximum(sums, 1)
    least = counted * np.maximum(0, 1 - 1 / (9 * counted) - dispersion.ONE_SIDED / (3 * np.sqrt(counted))) ** 3
    share = np.divide(least, until, out=np.zeros_like(sums), where=(until > 0) & (sums > 0))
    quiet: Floats = share * (requests - until) / phi
    return quiet


SHARES = {"errors": 0.4, "latency": 0.4, "rejections": 0.1, "degraded": 0.1, "shed": 0.01}
BESIDE_OUTCOMES = {"errors": 0.3, "latency": 0.3, "rejections": 0.08, "degraded": 0.08, "shed": 0.01}


def shares(policy: policies.Policy) -> dict[str, float]:
    """Of alpha, for each test; `quality` has what is left beside quality and outcomes."""
    return BESIDE_OUTCOMES if policy.with_outcomes else SHARES


def _anything_shed(rows: table.Table) -> bool:
    """Before that there is nothing to say of it."""
    return bool(rows.events_candidate[:, table.SHED].any() or rows.events_stable[:, table.SHED].any())


def _no_worse(rows: table.Table, policy: policies.Policy, phi: Floats) -> dict[str, Floats]:
    """The converse question, for who wants proof before going on: errors, and what is slower than the threshold.

    H0 is that the candidate has at least 1 + tolerance times stable's share. The spread between pods widens what counts
    as healthy; it must not make proof easier, so here the tolerance alone is the margin.
    """
    asked = {
        "errors": (table.ERRORS, policy.errors.tolerance),
        "latency": (guard_edge(rows.edges, policy.latency.threshold), policy.latency.tolerance),
    }
    return {
        name: evidence.relative(
            rows.events_candidate[:, column],
            rows.events_stable[:, column],
            odds=rows.odds_of(slice(column, column + 1))[:, 0],
            margin=1 + tolerance,
            dispersion=phi[:, column],
            ratios=evidence.BETTER,
        )
        for name, (column, tolerance) in asked.items()
        if column is not None
    }


def _by_column(rows: table.Table, *, margin: Floats, noise: Floats) -> Floats:
    """Evidence of each column, where `noise` is its dispersion."""
    rare, late = slice(0, table.FIRST_EDGE), slice(table.FIRST_EDGE, None)
    events = evidence.relative(
        rows.events_candidate[:, rare],
        rows.events_stable[:, rare],
        odds=rows.odds_of(rare),
        margin=margin[:, rare],
        dispersion=noise[:, rare],
    )
    slow = evidence.slower(
        rows.events_candidate[:, late],
        rows.events_stable[:, late],
        requests=rows.requests_of(table.FIRST_EDGE),
        known=rows.known[:, late],
        margin=margin[:, late],
        dispersion=noise[:, late],
    )
    return np.hstack([events, slow])


def compared_edges(edges: tuple[str, ...], floor: float) -> tuple[int, ...]:
    """Columns of the edges that are compared: below the floor, nobody notices."""
    return tuple(table.FIRST_EDGE + place for place, edge in enumerate(edges) if float(edge) >= floor * (1 - 1e-9))


def guard_edge(edges: tuple[str, ...], threshold: float) -> int | None:
    """Column of the histogram edge at the threshold, else the next above it.

    The threshold can be changed while pods with the old edges run. What is slower than a higher edge is slower than the
    threshold, so the guard then sees less than there is, never more.
    """
    for place, edge in enumerate(edges):
        if float(edge) >= threshold * (1 - 1e-9):
            return table.FIRST_EDGE + place
    return None


def unseen(rows: table.Table, threshold: float) -> dict[slots_.Metric, Bools]:
    """By metric, after which slots it has not been judged: it can't be told in that slot, or could not in too many.

    Latency needs an edge at or above the threshold that both arms have, as soon as one of them has any.
    """
    told = ~rows.unseen
    slow = guard_edge(rows.edges, threshold)
    at_threshold = rows.known[:, slow:].any(axis=1) if slow is not None else np.zeros(len(told), dtype=bool)
    both = (rows.timed_candidate > 0) & (rows.requests_stable > 0)
    place = table.METRICS.index("latency")
    told[:, place] &= at_threshold | ~(rows.timed & both)
    requests = rows.requests_candidate[:, None]
    part = np.cumsum(requests * told, axis=0) >= SEEN_PART * np.cumsum(requests, axis=0)
    part[:, place] = np.cumsum(rows.timed_candidate * told[:, place]) >= SEEN_PART * _to_be_timed(rows)
    return {metric: ~(told & part)[:, place] for place, metric in enumerate(table.METRICS)}


def _to_be_timed(rows: table.Table) -> Floats:
    """Requests so far for which the candidate's buckets must have come. Where its own pods are not those that tell how
    requests ended, their first seconds don't count and their latest scrape may be a slot behind.
    """
    apart = rows.timed_candidate != rows.requests_candidate
    answered = rows.requests_candidate - rows.unreachable_candidate - rows.late_candidate
    begun = np.cumsum(rows.seconds) - rows.seconds - float(rows.seconds[: int(np.argmax(answered > 0))].sum())
    due = np.cumsum(np.where(begun >= UNTIMED, answered, 0))
    before: Floats = np.where(apart.any(), np.concatenate([[0.0], due[:-1]]), np.cumsum(rows.timed_candidate))
    return before


def _tolerances(rows: table.Table, policy: policies.Policy) -> Floats:
    """Degraded answers are failures the fallback hid: they get the tolerance of errors. Shed ones were refused."""
    rejections = policy.rejections.tolerance
    first = [policy.errors.tolerance, rejections, policy.errors.tolerance, rejections]
    return np.array([*first, *[policy.latency.tolerance] * len(rows.edges)])


def _relative(
    name: str,
    columns: tuple[int, ...],
    *,
    by_column: Floats,
    untempered: Floats,
    events: Floats,
    requests: Floats,
    phi: Floats,
    margin: Floats,
    bound: float,
    usual: int,
) -> Test:
    own = by_column[:, list(columns)]
    log_evidence = evidence.log_mean_exp(own)
    never = np.zeros(len(log_evidence), dtype=bool)
    return Test(
        name=name,
        kind=Kind.RELATIVE,
        columns=columns,
        log_evidence=log_evidence,
        suspected=suspected(
            evidence.log_mean_exp(untempered[:, list(columns)]),
            events[:, list(columns)],
            requests=requests,
            phi=phi[:, list(columns)],
        ),
        by_column=own,
        bound=bound,
        limit=margin[:, list(columns)],
        excused=never,
        shared=never,
        usual=usual,
    )


def _guards(rows: table.Table, policy: policies.Policy, phi: Floats, margin: Floats) -> list[Test]:
    slow = guard_edge(rows.edges, policy.latency.threshold)
    asked = [("errors", table.ERRORS, policy.errors.max), ("latency", slow, policy.latency.max)]
    return [
        _guard(rows, name, column, most=most, phi=phi[:, column], margin=margin[:, column], policy=policy)
        for name, column, most in asked
        if column is not None and most < OFF
    ]


def _guard(
    rows: table.Table,
    name: str,
    column: int,
    *,
    most: float,
    phi: Floats,
    margin: Floats,
    policy: policies.Policy,
) -> Test:
    requests = rows.requests_of(column)[0] * rows.known[:, column]
    events = rows.events_candidate[:, column] * rows.known[:, column]
    log_evidence, untempered = (
        evidence.absolute(events, requests, most=most, dispersion=noise) for noise in (phi, 1.0)
    )
    stable = _stable_share(rows, column)
    excused = stable * margin > most
    doubtful = suspected(untempered, events[:, None], requests=requests, phi=phi[:, None])
    bound = 1 / (policy.false_rollback_rate * shares(policy)[name] * GUARD_PART)
    return Test(
        name=f"{name}Maximum",
        kind=Kind.MAXIMUM,
        columns=(column,),
        log_evidence=log_evidence,
        suspected=doubtful & ~excused,
        by_column=log_evidence[:, None],
        bound=bound,
        limit=np.full((len(log_evidence), 1), most),
        excused=excused,
        shared=excused & ((log_evidence >= math.log(bound)) | (doubtful & (stable > most))),
    )


def _stable_share(rows: table.Table, column: int) -> Floats:
    """Stable's share of events so far, slot by slot weighted with the candidate's traffic.

    An outage while the candidate has half of the traffic weighs more in the candidate's own share than in stable's;
    weighted like this, both saw the same outage.
    """
    odds = rows.odds_of(slice(column, column + 1))[:, 0]
    share = np.cumsum(rows.events_stable[:, column] * odds)
    requests = np.cumsum(rows.requests_of(column)[0] * (odds > 0))
    return np.divide(share, requests, out=np.zeros_like(share), where=requests > 0)
