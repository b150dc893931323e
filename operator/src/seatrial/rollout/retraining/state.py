"""What the parts of a course hand on to one another."""

from __future__ import annotations

import msgspec

from seatrial.api import spec, trained
from seatrial.api.status import Commands
from seatrial.rollout.decision import Case, Decision

from . import seen


class State(seen.Fact, frozen=True, kw_only=True):
    """The state so far.

    Attributes:
        case: what was seen, with the facts of status as the decision leaves them.
        decision: on the rollout, in this pass.
        wish: None where the spec has no retraining.
        base, digest: of what spec.model asks for.
        adopt: token of the adopt command that was followed in this pass.
        retrain: a run was started by the retrain command in this pass.
    """

    case: Case
    decision: Decision
    wish: spec.Retraining | None
    base: trained.TrainedBase
    digest: str
    known: trained.Trained | None
    now: trained.Retraining
    adopt: str = ""
    retrain: bool = False

    @property
    def run(self) -> trained.Run | None:
        """The newest run."""
        return self.now.runs[0] if self.now.runs else None

    @property
    def own_run(self) -> trained.Run | None:
        """The newest run, if it was made for what spec.model asks for."""
        return self.run if self.run is not None and self.run.base == self.digest else None

    def with_now(self, **changes: object) -> State:
        return msgspec.structs.replace(self, now=msgspec.structs.replace(self.now, **changes))

    def with_run(self, **changes: object) -> State:
        """The newest run with changes."""
        first, *others = self.now.runs
        return self.with_now(runs=(msgspec.structs.replace(first, **changes), *others))

    def with_known(self, **changes: object) -> State:
        """Trained versions with changes; nothing where none is left."""
        known = msgspec.structs.replace(self.known or trained.Trained(base=self.base), **changes)
        return msgspec.structs.replace(self, known=known if known.current or known.next or known.offered else None)

    def handled(self, retrain: str) -> Commands:
        """The decision's tokens, and those of ours that were followed; `retrain` is the one on the object."""
        commands = self.decision.commands
        return msgspec.structs.replace(
            commands, adopt=self.adopt or commands.adopt, retrain=retrain if self.retrain else commands.retrain
        )
