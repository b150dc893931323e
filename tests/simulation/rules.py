"""The decisions compared: ours, and the threshold rules people use today. Each returns seconds to rollback, or None."""

import numpy as np

from seatrial.analysis import course, policy, table, verdict

CHECK_SLOTS = 4  # 60 s
OBJECTIVE = 0.99
DEFAULTS = policy.Policy()


def evidence(rows: table.Table) -> float | None:
    breach = verdict.first_breach(course.run(rows, DEFAULTS))
    return None if breach is None else float(rows.seconds[: breach[0] + 1].sum())


def failed_checks(rows: table.Table, *, limit: int, column: int) -> float | None:
    """Rolled back at the `limit`th check of 60 s in which the candidate misses 99 %. Checks without traffic pass."""
    requests = rows.requests_candidate.reshape(-1, CHECK_SLOTS).sum(axis=1)
    events = rows.events_candidate[:, column].reshape(-1, CHECK_SLOTS).sum(axis=1)
    failed = np.flatnonzero(events > (1 - OBJECTIVE) * requests)
    return None if len(failed) < limit else float((failed[limit - 1] + 1) * CHECK_SLOTS * rows.seconds[0])
