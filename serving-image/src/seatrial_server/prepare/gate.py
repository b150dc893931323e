"""May the quantized model replace the original? Disagreement over known rows, and speed on this CPU.

`decide` is pure; `disagreement` and `speedup` run both models. Runs in the sandbox.
"""

from __future__ import annotations

import time

import msgspec

from seatrial_server.host import config
from seatrial_server.model import answers, schema, session
from seatrial_server.model import rows as rows_

_ROUNDS = 9
_ROUND_SECONDS = 0.01


class Measurement(msgspec.Struct, frozen=True):
    """Quantized against original. Speed-ups are ratios of call times: 2.0 is twice as fast."""

    disagreement: float
    rows: int
    speedup1: float
    speedup32: float


def decide(measured: Measurement, wanted: config.Quantization) -> str:
    """Empty when the quantized model may be served, else the reason why not."""
    if measured.disagreement > wanted.max_disagreement:
        return (
            f"{measured.disagreement:.2%} of {measured.rows} rows got another answer than from the original, "
            f"quantization.maxDisagreement is {wanted.max_disagreement:.2%}"
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
    left = answers.read(card, original.schema, original.rows(rows))
    right = answers.read(card, quantized.schema, quantized.rows(rows, together))
    return Measurement(
        disagreement=int(answers.differing(left, right).sum()) / count,
        rows=count,
        speedup1=speedup(original, quantized, rows_.one(original.schema, rows, 1)),
        speedup32=speedup(original, quantized, rows_.one(original.schema, rows, 32)),
    )


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
