"""What the tests of single rules have in common: reports, trials, and what a rule has answered."""

from __future__ import annotations

from tests.unit.rollout import build

from seatrial.rollout import decision, facts, report

PASSED = report.Report(outcome=report.Outcome.PASSED, served_sha256="5e", precision="fp32")
BOTH = (*build.pods("1", True, True), *build.pods("2", True, True))
PASS, BLIND = build.look("Pass"), build.BLIND


def reported(*versions: str) -> dict[str, report.Report]:
    return {build.name_of(version): PASSED for version in versions}


def trial(outcome: str = "Passed", *, at: float = 0, **changes: object) -> dict[str, facts.Trial]:
    made = report.Report(outcome=report.Outcome(outcome), reason="DigestMismatch", message="the bytes are others")
    usual = {"state": facts.JobState.SUCCEEDED, "created_at": build.at(at), "report": made}
    return {build.name_of("2"): facts.Trial(**{**usual, **changes})}


def answer(found: decision.Decision | None) -> decision.Decision:
    assert found is not None
    return found


def weight(found: decision.Decision | None) -> int:
    candidate = answer(found).candidate
    assert candidate is not None
    return candidate.weight


def place(found: decision.Decision) -> tuple[int, int, bool]:
    assert found.candidate is not None
    return found.candidate.step, found.candidate.weight, found.candidate.promoting
