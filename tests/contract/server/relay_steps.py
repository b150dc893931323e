"""What can happen in `relay_scene`, one after the other: drawn by hypothesis, each step a name and its arguments."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import strategies
from tests.contract.server.between import Mode

CLIENTS = 3
ODD = {"none": b"", "half": b"{", "long": b"x" * 20_000, "list": b"[]"}
"""Texts that are no assignment."""
Step = tuple[Any, ...]

_client = strategies.integers(0, CLIENTS - 1)
_sends = strategies.tuples(
    strategies.just("send"),
    _client,
    strategies.integers(1, 8),
    strategies.sampled_from(["plain", "plain", "plain", "plain", "packed", "wish", "large", "huge"]),
)
_calls = strategies.tuples(strategies.just("call"), strategies.integers(1, 4))
_assigns = strategies.tuples(
    strategies.just("assign"),
    strategies.sampled_from([100, 50, 30, 0]),
    strategies.sampled_from([0, 50]),
    strategies.sampled_from([True, True, False]),
    strategies.booleans(),
    strategies.sampled_from([False, False, True]),
)
_modes = strategies.tuples(strategies.just("mode"), strategies.sampled_from(get_args(Mode)))
_events = strategies.one_of(
    _modes,
    _modes,
    _assigns,
    _assigns,
    strategies.tuples(strategies.just("die")),
    strategies.tuples(strategies.just("live")),
    strategies.tuples(strategies.just("mirror")),
    strategies.tuples(strategies.just("replace")),
    strategies.tuples(strategies.just("mistake"), _client),
    strategies.tuples(strategies.just("disconnect"), _client),
    strategies.tuples(strategies.just("settle"), _client),
    strategies.tuples(strategies.just("odd"), strategies.sampled_from(sorted(ODD))),
    strategies.tuples(strategies.just("expire")),
    strategies.tuples(strategies.just("wait"), strategies.sampled_from([0.0, 0.002, 0.07])),
)
_bunches = strategies.one_of(_sends, _sends, _calls)


class Sequence:
    """All steps; `drain`: the stable pod is told to go at last. `cached`: answers are kept; `rpc`: calls are made."""

    def __init__(self, steps: list[Step], *, drain: bool, cached: bool, rpc: bool) -> None:
        self.drain, self.cached, self.rpc = drain, cached, rpc
        self.steps = [step for step in steps if rpc or step[0] != "call"]

    def __repr__(self) -> str:
        return f"Sequence({self.steps}, drain={self.drain}, cached={self.cached}, rpc={self.rpc})"


STEPS = strategies.tuples(
    _assigns, strategies.lists(strategies.tuples(_events, _bunches), min_size=4, max_size=14)
).map(lambda drawn: [drawn[0], *(step for pair in drawn[1] for step in pair)])
"""An assignment at first, then something happens before each bunch of requests."""
SEQUENCES = strategies.builds(
    Sequence,
    STEPS,
    drain=strategies.booleans(),
    cached=strategies.booleans(),
    rpc=strategies.sampled_from([False, False, True]),
)
