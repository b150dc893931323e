"""May the quantized model replace the original? Disagreement over held-out rows, and speed on this CPU.

Rows that gave the ranges say little about others, so none of them is counted, and a share over few rows is no proof:
its upper limit with 95 % confidence is held against the bound. `decide` is pure; `measure` and `speedup` run both
models. Runs in the sandbox.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import msgspec
import numpy as np

from seatrial_server.host import config
from seatrial_server.model import answers, schema, session
from seatrial_server.model import rows as rows_

_CONFIDENCE = 0.95
_HALVINGS = 50
_ROUNDS = 9
_ROUND_SECONDS = 0.01


class Measurement(msgspec.Struct, frozen=True):
    """Quantized against original. Speed-ups are ratios of call times: 2.0 is twice as fast."""

    disagreement: float
    rows: int
    speedup1: float
    speedup32: float

    @property
    def limit(self) -> float:
        """What the share of all rows is below, with 95 % confidence."""
        return upper_limit(round(self.disagreement * self.rows), self.rows)


def split(rows: Mapping[str, session.Array]) -> tuple[dict[str, session.Array], dict[str, session.Array]]:
    """Calibration rows in turn: those that give the ranges, and those that are held out to compare answers."""
    return {name: array[::2] for name, array in rows.items()}, {name: array[1::2] for name, array in rows.items()}


def upper_limit(differing: int, rows: int) -> float:
    """Clopper and Pearson's one-sided limit: the share at which so few of `rows` differ in one case of twenty."""
    if differing >= rows:
        return 1.0
    low, high = differing / rows, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _at_most(differing, rows, middle) > 1 - _CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def _at_most(count: int, rows: int, share: float) -> float:
    """Probability of at most `count` among `rows`, in logarithms: the terms are far below the smallest number."""
    if not 0 < share < 1:
        return float(share <= 0)
    whole, yes, no = math.lgamma(rows + 1), math.log(share), math.log1p(-share)
    return math.fsum(
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(rows - k + 1) + k * yes + (rows - k) * no)
        for k in range(count + 1)
    )


def least_rows(bound: float) -> int:
    """How many rows without any difference show that less than `bound` differ."""
    return 1 if bound >= _CONFIDENCE else math.ceil(math.log(1 - _CONFIDENCE) / math.log1p(-bound))


def too_few(rows: int, bound: float) -> str:
    """Empty when `rows` can show the bound at all."""
    if bound == 0:
        return "quantization.maxDisagreement is 0%, which no number of rows can show"
    if rows >= (least := least_rows(bound)):
        return ""
    return (
        f"{rows} rows to compare answers on can't show quantization.maxDisagreement of {bound:.2%}: at least {least} "
        "are needed; half of calibration.npz and all rows of functional tests count"
    )


def decide(measured: Measurement, wanted: config.Quantization) -> str:
    """Empty when the quantized model may be served, else the reason why not."""
    if measured.limit > wanted.max_disagreement:
        return (
            f"{measured.disagreement:.2%} of {measured.rows} held-out rows got another answer than from the original "
            f"(95% limit {measured.limit:.2%}), quantization.maxDisagreement is {wanted.max_disagreement:.2%}"
        )
    for batch, speedup in ((1, measured.speedup1), (32, measured.speedup32)):
        if speedup < 1 + wanted.min_speedup:
            return (
                f"{speedup:.2f} times the original's speed at batch {batch}, "
                f"quantization.minSpeedup asks for {1 + wanted.min_speedup:.2f}"
            )
    return ""


def measure(
    original: session.Session,
    quantized: session.Session,
    rows: dict[str, session.Array],
    card: schema.Card,
    *,
    together: int = session.ROWS_PER_RUN,
) -> Measurement:
    """Compare both models over the rows, of which the quantized one gets `together` at once."""
    count = len(next(iter(rows.values())))
    outputs = original.rows(rows), quantized.rows(rows, together)
    return Measurement(
        disagreement=int(_differing(card, original.schema, *outputs).sum()) / count,
        rows=count,
        speedup1=speedup(original, quantized, rows_.one(original.schema, rows, 1)),
        speedup32=speedup(original, quantized, rows_.one(original.schema, rows, 32)),
    )


def _differing(
    card: schema.Card, model: schema.Schema, left: list[session.Array], right: list[session.Array]
) -> session.Array:
    vectors = answers.embeddings(card, model, left)
    if vectors is not None:
        return answers.moved(vectors, right[0].reshape(vectors.shape).astype(np.float64))
    return answers.differing(answers.read(card, model, left), answers.read(card, model, right))


def speedup(original: session.Session, quantized: session.Session, feeds: dict[str, session.Array]) -> float:
    """Ratio of the shortest call times: what else runs on the machine only ever adds. Rounds alternate."""
    times: tuple[list[float], list[float]] = ([], [])
    for model in (original, quantized):
        model.run(feeds)
    for _ in range(_ROUNDS):
        for model, kept in zip((original, quantized), times, strict=True):
            kept.append(_call_seconds(model, feeds))
    return min(times[0]) / min(times[1])


def _call_seconds(model: session.Session, feeds: dict[str, session.Array]) -> float:
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < _ROUND_SECONDS or calls == 0:
        model.run(feeds)
        calls += 1
    return elapsed / calls
