"""The decisions compared: ours, and the threshold rules people use today. Each returns seconds to rollback, or None."""

import numpy as np

from seatrial.analysis import course, policy, table, verdict

CHECK_SECONDS = 60.0
OBJECTIVE = 0.99


def evidence(rows: table.Table, *, alpha: float) -> float | None:
    breach = verdict.first_breach(course.run(rows, policy.Policy(false_rollback_rate=alpha)))
    return None if breach is None else float(rows.seconds[: breach[0] + 1].sum())


def failed_checks(rows: table.Table, *, limit: int, column: int) -> float | None:
    """Rolled back at the `limit`th check of 60 s in which the candidate misses 99 %. Checks without traffic pass."""
    slots = round(CHECK_SECONDS / rows.seconds[0])
    requests = rows.requests_candidate.reshape(-1, slots).sum(axis=1)
    events = rows.events_candidate[:, column].reshape(-1, slots).sum(axis=1)
    failed = np.flatnonzero(events > (1 - OBJECTIVE) * requests)
    return None if len(failed) < limit else float((failed[limit - 1] + 1) * CHECK_SECONDS)
