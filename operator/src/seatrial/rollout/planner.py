"""What does one ModelDeployment need next?

`plan` asks the rules in order and takes the first answer; the list of rules is the documentation of the order. Guards
come before everything that can fail, so a deadline is kept even while the API server refuses our children.

| rule                         | when                                             | then                             |
| ---------------------------- | ------------------------------------------------ | -------------------------------- |
| candidate_regressed          | evidence against a candidate with traffic        | weight 0, Rejected               |
| promoted_regressed           | evidence against stable during its soak          | flip back, Rejected              |
| abort_requested              | a new abort token                                | the same, reason Aborted         |
| candidate_crash_looping      | a candidate pod starts again and again           | Rejected                         |
| promoted_crash_looping       | a pod of stable does, during its soak            | flip back, Rejected              |
| candidate_never_became_ready | pods not Ready by startTimeout                   | Rejected                         |
| candidate_without_pods       | it has all traffic, and stable has Ready pods    | weight 0, Starting               |
| trial_overdue                | no trial result by its time-out                  | Rejected                         |
| candidate_superseded         | another revision is wanted                       | weight 0, Superseded             |
| wanted_is_stable             | what is wanted serves                            | soak, then done                  |
| retry_requested              | a new retry token on a rejected revision         | the rejection is forgotten       |
| address_corrected            | refused on trial, now another uri or secretRef   | the rejection is forgotten       |
| wanted_was_rejected          | the wanted revision has a rejection              | Stalled                          |
| new_candidate                | none yet                                         | Trial; known trial: pods start   |
| on_trial                     | its Job runs or has ended                        | Starting, or Rejected            |
| starting                     | pods asked for, no step yet                      | first weight once Ready          |
| canary                       | in a step                                        | hold, advance, go blind          |
| promoting                    | all steps passed, first install, fast return | capacity, all traffic, stable    |
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from . import finishing, guards, looking, stages, takeover
from .decision import Case, Decision, Rule
from .facts import Snapshot
from .finishing import Plan

RULES: Sequence[Rule] = (
    guards.candidate_regressed,
    guards.promoted_regressed,
    guards.abort_requested,
    guards.candidate_crash_looping,
    guards.promoted_crash_looping,
    guards.candidate_never_became_ready,
    guards.candidate_without_pods,
    guards.trial_overdue,
    stages.candidate_superseded,
    stages.wanted_is_stable,
    stages.retry_requested,
    stages.address_corrected,
    stages.wanted_was_rejected,
    stages.new_candidate,
    stages.on_trial,
    takeover.starting,
    takeover.canary,
    takeover.promoting,
)


def plan(snapshot: Snapshot, now: datetime) -> Plan:
    """What to write and what to apply; the same snapshot gives the same plan."""
    look = snapshot.look or looking.look(snapshot, now)
    case = Case(snapshot=snapshot, now=now, look=look)
    return finishing.finish(case, _decide(case))


def _decide(case: Case) -> Decision:
    for rule in RULES:
        if decision := rule(case):
            return decision
    raise AssertionError("unreachable: a candidate is on trial, starting, in a step or promoting")
