"""What became of a scenario: a row of the table, and everything that isn't as it must be. Pure."""

from __future__ import annotations

import dataclasses

from tests.cluster import watching
from tests.cluster.demo.scenarios import Scenario


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One scenario, when it was over. `before`: the client's books when it began."""

    title: str
    expected: str
    seen: str
    sight: watching.Sight
    before: watching.Books
    version: str
    """Whose answers the table counts."""
    breach: str = "-"
    """Seconds from the verdict to its last request."""
    shares: str = "-"
    """Asked and seen, of each step that gave it answers."""
    wrongs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"v{self.version} {self.title}"

    def row(self) -> list[str]:
        own, books = self.sight.books.versions.get(self.version, {}), self.sight.books
        return [
            self.name,
            self.expected,
            self.seen + ("  << WRONG" if self.wrongs else ""),
            self.breach,
            self.shares,
            str(own.get("sent", 0)),
            str(own.get("covered", 0)),
            str(failed(books, self.before)),
            str(books.lost - self.before.lost),
        ]


def failed(now: watching.Books, before: watching.Books) -> int:
    """Answers that went wrong for whoever asked, whoever's fault it was."""
    return now.model_errors - before.model_errors + now.not_the_models_fault - before.not_the_models_fault


def troubles(sight: watching.Sight, before: watching.Books, *, serving: str) -> list[str]:
    """What must not have happened in any scenario, in words."""
    stable, errors = sight.status.stable, failed(sight.books, before)
    checks = {
        f"version {serving} should serve": not stable or stable.model_version != serving,
        f"users saw {errors} failed answers": errors > 0,
        "requests were lost": sight.books.lost > before.lost,
    }
    return [text for text, wrong in checks.items() if wrong]


def of_rollout(
    scenario: Scenario, sight: watching.Sight, before: watching.Books, *, shares: str, also: tuple[str, ...] = ()
) -> Outcome:
    """Of a version that was tried. `also`: what else went wrong."""
    verdict = sight.verdict(scenario.version)
    seen = f"{verdict.verdict} ({verdict.reason})" if verdict else "no verdict"
    expected = f"{scenario.verdict} ({' or '.join(scenario.reasons)})"
    served = sight.books.answered_by(scenario.version)
    checks = {
        f"expected {expected}, seen {seen}": verdict is None
        or verdict.verdict != scenario.verdict
        or verdict.reason not in scenario.reasons,
        f"a refused version answered {served} requests": not scenario.gets_traffic and served > 0,
    }
    wrongs = [text for text, wrong in checks.items() if wrong]
    return Outcome(
        title=scenario.title,
        expected=expected,
        seen=seen,
        sight=sight,
        before=before,
        version=scenario.version,
        breach=_breach_to_zero(sight, scenario.version),
        shares=shares or "-",
        wrongs=(*wrongs, *troubles(sight, before, serving=scenario.serving), *also),
    )


def _breach_to_zero(sight: watching.Sight, version: str) -> str:
    rollback, verdict = sight.status.last_rollback, sight.verdict(version)
    if rollback is None or verdict is None or rollback.source != verdict.revision or rollback.seconds is None:
        return "-"
    return f"{rollback.seconds:.1f} s"
