"""One row as the model may see it: the checks and repairs of a request, without a request."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from seatrial_server.engine import validation
from seatrial_server.model import session

Row = list[session.Array]


def repair(guards: Sequence[validation.Guard | None], *, whole: bool) -> Callable[[Row], Row | None]:
    """What makes a row usable, or says that the model must not see it.

    `whole`: the row has a dimension more than the model's inputs.
    """
    checks = [(place, guard) for place, guard in enumerate(guards) if guard is not None]

    def admitted(row: Row) -> Row | None:
        seen = list(row)
        for place, guard in checks:
            verdict = guard.examine(row[place][0] if whole else row[place])
            if verdict is None:
                continue
            if verdict.refused_rows().any():
                return None
            seen[place] = verdict.feed[np.newaxis] if whole else verdict.feed
        return seen

    return admitted
