"""The small world with an operator that is only woken: by what it watches, by what rings, and by the time it asked for.

In `world.World` it looks every five seconds, whether it would have been woken or not, so a pass that nothing asks for
goes unnoticed there. Here it is an error: wherever the operator sleeps, a look would change nothing. What it may be
late for is what nobody watches: the CronJob.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from tests.unit.rollout import world as worlds

from seatrial.api.spec import Spec
from seatrial.rollout import plans

UNWATCHED = timedelta(minutes=1)
"""How late the operator may notice what nobody watches."""


class World(worlds.World):
    """Passes only where the controller's queue has one."""

    def __init__(self, wish: Spec) -> None:
        super().__init__(wish)
        self._due: datetime | None = None
        self._known: Any = None
        self._template = self.trainer.template
        self._template_since = self.now

    def step(self) -> None:
        if self.trainer.template != self._template:
            self._template, self._template_since = self.trainer.template, self.now
        if self._woken():
            super().step()
            return
        self._check_rest()
        self._advance()

    def _woken(self) -> bool:
        due = self._due is not None and self.now >= self._due
        return due or self._watched() != self._known

    def _pass(self) -> None:
        made = len(self.trainer.made)
        self._due = self.now  # a pass that is cut short is begun again
        super()._pass()
        # The Job controller writes into every new Job at once.
        self._known = self._watched() if len(self.trainer.made) == made else None

    def apply(self, plan: plans.Plan) -> None:
        super().apply(plan)
        self._due = None if plan.look_again is None else self.now + plan.look_again
        if self.trainer.refused:
            self._due = self.now

    def _watched(self) -> Any:
        """Everything that a change of wakes the operator."""
        seen = self._facts()
        training = msgspec.structs.replace(seen.training, template=None, refused="")
        return msgspec.structs.replace(seen, training=training, pods=tuple(self.pods.values()))

    def _check_rest(self) -> None:
        if self.now - self._template_since <= UNWATCHED:
            return
        plan = self.plan()
        assert plan.status == self.status, f"nobody looks, and there is something to say: {plan.status.retraining}"
        assert plan.training is None, "nobody looks, and a run waits for its Job"
