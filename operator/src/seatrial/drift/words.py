"""The sentences a user reads, in words of values: which column moved where, how far, how sure that is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from seatrial.drift.columns import Column, Floats, Kind
from seatrial.drift.judgement import Finding, Outcome
from seatrial.drift.tests import Question, Test

NAMED = 3
NOTHING = {
    Outcome.CLEAN: "no drift found",
    Outcome.UNKNOWN: "nothing could be looked at: too few pods or hours were seen",
}


def sentence(findings: Sequence[Finding], *, found: Outcome, more: int = 0) -> str:
    """The whole judgement in one line."""
    if not findings:
        return NOTHING[found]
    text = " | ".join(_one(finding) for finding in findings)
    return f"{text} | and {more} more" if more > 0 else text


def where(test: Test, chosen: Floats, column: Column) -> str:
    """A set of bins in words: `above 52000`, `between 3 and 7`, `a, b or c`."""
    if test.question is Question.MISSING:
        return "missing"
    if test.question is Question.OUTSIDE:
        return _outside(column)
    if column.kind is Kind.ATTRIBUTION:
        return _features(chosen, test)
    return _numbers(chosen, column) if column.ordered else _categories(chosen, test)


def bins(column: Column) -> tuple[str, ...]:
    """Each bin by its values: `below 0`, `0 to 10000`; by its name where they are not known."""
    if not column.ordered or not column.edges:
        return column.bins
    edges = [_value(edge) for edge in column.edges]
    inner = (f"{low} to {high}" for low, high in itertools.pairwise(edges))
    return ("missing", f"below {edges[0]}", *inner, f"above {edges[-1]}")


def _one(finding: Finding) -> str:
    reached = ">=" if finding.log_evidence >= math.log(finding.bound) else "<"
    parts = [
        f"drift: {finding.column}: {_percent(finding.share)} of {finding.rows} rows {finding.where} "
        f"(reference {_percent(finding.reference)}, tolerated {_percent(finding.tolerated)}) "
        f"over {_span(finding.window)}",
        f"evidence {_evidence(finding.log_evidence)} {reached} bound {finding.bound:.2g}",
        f"phi {finding.dispersion:.2g}",
        *([finding.note] if finding.note else []),
    ]
    return "; ".join(parts)


def _outside(column: Column) -> str:
    if not column.ordered:
        return "with values that the reference lacks"
    if not column.edges:
        return "outside of the reference's range"
    return f"below {_value(column.edges[0])} or above {_value(column.edges[-1])}"


def _numbers(chosen: Floats, column: Column) -> str:
    """Runs of neighbouring bins, the first of them open downwards and the last upwards."""
    runs: list[tuple[int, int]] = []
    for place, member in enumerate(chosen):
        if member and runs and runs[-1][1] == place:
            runs[-1] = (runs[-1][0], place + 1)
        elif member:
            runs.append((place, place + 1))
    return " or ".join(_run(begin, end, column) for begin, end in runs)


def _run(begin: int, end: int, column: Column) -> str:
    edges = [_value(edge) for edge in column.edges]
    if not edges:
        return f"in bin {begin + 1}" if end == begin + 1 else f"in bins {begin + 1} to {end}"
    if not begin:
        return f"below {edges[end]}"
    return f"above {edges[begin]}" if end == column.inner else f"between {edges[begin]} and {edges[end]}"


def _features(chosen: Floats, test: Test) -> str:
    """Of an attribution: `decided by income`."""
    members, others = _parted(chosen, test)
    if len(members) <= NAMED:
        return f"decided by {_either(members)}"
    if len(others) <= NAMED:
        return f"decided by another feature than {_either(others)}"
    frequent = members[0] == test.names[0]
    return f"decided by one of the {len(members)} features that {'most' if frequent else 'least'} often do"


def _parted(chosen: Floats, test: Test) -> tuple[list[str], list[str]]:
    """Names of the bins in a set, and of the others."""
    members = [name for name, member in zip(test.names, chosen, strict=True) if member]
    return members, [name for name, member in zip(test.names, chosen, strict=True) if not member]


def _categories(chosen: Floats, test: Test) -> str:
    members, others = _parted(chosen, test)
    if len(members) <= NAMED:
        return f"being {_either(members)}"
    if len(others) <= NAMED:
        return f"being none of {', '.join(others)}" if len(others) > 1 else f"not being {others[0]}"
    frequent = members[0] == test.names[0]
    return f"being one of the {len(members)} {'most' if frequent else 'least'} frequent values"


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _value(edge: float) -> str:
    return f"{edge:.6g}" if abs(edge) < 1e6 else f"{edge:.4g}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%" if share < 0.0995 else f"{100 * share:.3g}%"


def _span(hours: int) -> str:
    number, unit = (hours // 24, "day") if hours >= 24 else (hours, "hour")
    return f"{number} {unit}{'s' if number > 1 else ''}"


def _evidence(log_evidence: float) -> str:
    return f"{math.exp(log_evidence):.2g}" if log_evidence < math.log(1e12) else f"10^{log_evidence / math.log(10):.0f}"
