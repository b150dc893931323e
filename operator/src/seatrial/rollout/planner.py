"""What does one ModelDeployment need next?

`plan` asks the rules in order and takes the first answer; the list of rules is the documentation of the order. Guards
come before everything that can fail, so a deadline is kept even while the API server refuses our children.

| rule                         | when                                             | then                               |
| ---------------------------- | ------------------------------------------------ | ---------------------------------- |
| candidate_regressed          | evidence against a candidate with traffic        | weight 0, Rejected; or held        |
| promoted_regressed           | evidence against stable during its soak          | Rejected, goes back                |
| abort_requested              | a new abort token                                | the same, reason Aborted           |
| rollback_requested           | a new rollback-to token that names a trusted one | that one returns, wanted Rejected  |
| candidate_crash_looping      | a candidate's server starts again and again      | Rejected                           |
| promoted_crash_looping       | stable's server does, during its soak            | Rejected, goes back                |
| condemned_returns            | stable is proven bad, the old version is warm    | flip back with enough pods Ready   |
| candidate_never_became_ready | not Ready by startTimeout, its own fault         | Rejected                           |
| candidate_without_pods       | it has all traffic and no pod, stable has some   | weight 0, Starting                 |
| candidate_unseen             | blind for blindTimeout                           | weight 0, the step begins again    |
| baseline_missing             | trained, unapproved, not tested against stable   | Rejected                           |
| trial_overdue                | no trial result by its time-out, its own fault   | Rejected                           |
| spec_unreadable              | the spec on the object can't be read             | Stalled, nothing begins            |
| candidate_superseded         | another revision is wanted                       | weight 0, Superseded               |
| wanted_is_stable             | what is wanted serves                            | soak, then done                    |
| retry_requested              | a new retry token on a rejected revision         | another canary                     |
| address_corrected            | refused on trial, now another uri or secretRef   | another trial                      |
| wanted_was_rejected          | the wanted revision is rejected                  | Stalled                            |
| new_candidate                | none yet                                         | Trial; known trial: pods start     |
| pause_requested              | a new pause token                                | held: no weight is given           |
| resume_requested             | a new resume or promote token while held         | goes on                            |
| shifted                      | more answers differ than may, proven on copies   | held, unless it is only to be said |
| answers_shifted              | its answers are distributed otherwise than may   | the same                           |
| moved                        | uri or secretRef changed during the trial        | another try                        |
| on_trial                     | its Job runs or has ended                        | Starting, Rejected, or another try |
| held                         | held, and nothing else is missing                | waits                              |
| starting                     | pods asked for, no step yet                      | first weight once Ready and seen   |
| in_step                      | it has a share of the traffic                    | hold, advance                      |
| promoting                    | all steps passed                                 | capacity, all traffic, stable      |
| taking_over                  | first install, return, or stable has gone        | the same, uncompared               |
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from seatrial.api import stage

from . import looking, plans, providing, wanting
from .decision import Case, Decision, Rule
from .facts import Snapshot
from .plans import Plan
from .rules import guards, holding, promoting, setting_back, starting, step, trial, wishes

RULES: Sequence[Rule] = (
    guards.candidate_regressed,
    guards.promoted_regressed,
    guards.abort_requested,
    setting_back.rollback_requested,
    guards.candidate_crash_looping,
    guards.promoted_crash_looping,
    guards.condemned_returns,
    guards.candidate_never_became_ready,
    guards.candidate_without_pods,
    guards.candidate_unseen,
    trial.baseline_missing,
    guards.trial_overdue,
    guards.spec_unreadable,
    wishes.candidate_superseded,
    wishes.wanted_is_stable,
    wishes.retry_requested,
    wishes.address_corrected,
    wishes.wanted_was_rejected,
    wishes.new_candidate,
    holding.pause_requested,
    holding.resume_requested,
    holding.shifted,
    holding.answers_shifted,
    trial.moved,
    trial.on_trial,
    holding.held,
    starting.starting,
    step.in_step,
    promoting.promoting,
    promoting.taking_over,
)


def plan(snapshot: Snapshot, now: datetime) -> Plan:
    """What to write and what to apply; the same snapshot gives the same plan."""
    snapshot = providing.settled(wanting.settled(_in_a_stage(snapshot)))
    look = snapshot.look or looking.look(snapshot, now)
    case = Case(snapshot=snapshot, now=now, look=look)
    return plans.of(case, holding.shown(case, _decide(case)))


def _decide(case: Case) -> Decision:
    for rule in RULES:
        if decision := rule(case):
            return decision
    raise AssertionError("unreachable: a candidate is on trial, starting, in a step, promoting or taking over")


def _in_a_stage(snapshot: Snapshot) -> Snapshot:
    """A candidate in no stage (status was edited by hand) is nobody's: what is wanted begins anew."""
    candidate = snapshot.status.candidate
    if candidate is None or stage.told_by(candidate):
        return snapshot
    return msgspec.structs.replace(snapshot, status=msgspec.structs.replace(snapshot.status, candidate=None))
