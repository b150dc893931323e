"""Scenarios 7 and 8: what becomes of a version in the months after its canary, in minutes.

The world changes, and the version that serves does not: its traffic drifts, a training run starts by itself, and what
it made comes to serve like any other version. Then values go missing: that is somebody's fault, and nothing is learned.
An hour of drift is `HOUR` seconds here, by a setting of the operator that is for tests.
"""

from __future__ import annotations

import json
import time

from tests.cluster import installation, watching
from tests.cluster.demo import outcomes, view
from tests.cluster.demo.scenarios import LEARNED_ANEW, MISSING
from tests.cluster.models import digits

HOUR = 10
DEADLINE = 480.0
GAPS = 0.5
"""Share of the digits that come with a line of pixels missing."""
CONDITIONS = ("Drifted", "Retraining")
CALM = 2 * HOUR
"""Seconds in which no run may start: as many looks as it took to find the drift."""


def drift(subject: watching.Subject, show: view.View) -> outcomes.Outcome:
    """Digits become faint: Drifted, a run, version 8, promoted; and spec is what it was."""
    show.begin(LEARNED_ANEW)
    installation.retraining(subject.platform)
    before = subject.books()
    subject.apply(subject.platform.sample(LEARNED_ANEW.sample))
    subject.wait(lambda sight: sight.settled and sight.ready[0] == "True", what="version 2 at rest", seconds=DEADLINE)
    wish = _wish(subject)
    show.say(
        f"  version 2 serves, as spec.model says; {_right(before, watching.Books(), '2')} of its answers were right"
    )
    show.say(f"  now the scanner gets another lamp: digits come with {digits.FAINT:.0%} of their ink")
    subject.scan(ink=digits.FAINT)
    bright = subject.books()
    alarm = subject.wait(
        lambda sight: sight.condition("Drifted")[:2] == ("True", "FeatureDrift"),
        what="an alarm about the traffic",
        seconds=DEADLINE,
        show=lambda sight: _show(show, sight),
    )
    show.say(f"  {_right(alarm.books, bright, '2')} of its answers are right")
    shares = view.Shares()

    def look(sight: watching.Sight) -> None:
        shares.note(sight)
        _show(show, sight)

    def served(sight: watching.Sight) -> bool:
        return sight.settled and sight.verdict(LEARNED_ANEW.version) is not None

    sight = subject.wait(served, what="a verdict on what was trained", seconds=DEADLINE, show=look)
    show.end()
    ours = [run.trigger for run in sight.status.retraining.runs] if sight.status.retraining else []
    also = {
        f"one run that drift has started, not {', '.join(ours) or 'none'}": ours != ["Drift"],
        "spec was written": _wish(subject) != wish,
    }
    end = subject.books()
    show.say(f"  version 8 serves in place of spec.model, of which nothing was written: {_model(wish)}")
    faint = subject.wait(
        lambda one: one.books.answered_by("8") > end.answered_by("8") + 200, what="its answers", seconds=60
    )
    show.say(f"  {_right(faint.books, end, '8')} of its answers are right")
    wrongs = tuple(text for text, wrong in also.items() if wrong)
    return outcomes.of_rollout(LEARNED_ANEW, sight, before, shares=shares.text, also=wrongs)


def missing(subject: watching.Subject, show: view.View) -> outcomes.Outcome:
    """Pixels go missing: InvalidData, said in words, and no run."""
    show.begin(MISSING)
    before, known = subject.books(), _jobs(subject)
    show.say(f"  now a line of the scanner fails: {GAPS:.0%} of the digits come with eight pixels missing")
    subject.scan(ink=digits.FAINT, gaps=GAPS)

    def said(sight: watching.Sight) -> bool:
        return (sight.condition("Drifted")[1], sight.condition("Retraining")[1]) == MISSING.reasons

    subject.wait(said, what="bad data is said", seconds=DEADLINE, show=lambda sight: _show(show, sight))
    calm = time.monotonic() + CALM
    sight = subject.wait(
        lambda _: time.monotonic() > calm, what="time", seconds=DEADLINE, show=lambda sight: _show(show, sight)
    )
    subject.scan(ink=digits.FAINT)
    show.end()
    runs = _jobs(subject) - known
    show.say(f"  {_right(sight.books, before, '8')} of its answers are right: a missing pixel counts as blank; no run")
    seen = f"{sight.condition('Drifted')[1]}, {sight.condition('Retraining')[1]}"
    expected = ", ".join(MISSING.reasons)
    also = {f"expected {expected}, seen {seen}": seen != expected, f"{runs} runs started": runs != 0}
    return outcomes.Outcome(
        title=MISSING.title,
        expected=expected,
        seen=seen,
        sight=sight,
        before=before,
        version=MISSING.version,
        wrongs=(
            *(text for text, wrong in also.items() if wrong),
            *outcomes.troubles(sight, before, serving=MISSING.serving),
        ),
    )


def _show(show: view.View, sight: watching.Sight) -> None:
    show.show(sight)
    for kind in CONDITIONS:
        show.condition(kind, sight)


def _wish(subject: watching.Subject) -> str:
    """The spec, byte for byte, and how often it was written."""
    raw = subject.raw() or {"metadata": {}, "spec": {}}
    return json.dumps([raw["metadata"].get("generation"), raw["spec"]])


def _model(wish: str) -> str:
    generation, spec = json.loads(wish)
    return f"version {spec['model']['version']}, generation {generation}"


def _jobs(subject: watching.Subject) -> int:
    return len(subject.platform.list("jobs", subject.namespace, "seatrial.dev/training"))


def _right(now: watching.Books, before: watching.Books, version: str) -> str:
    """Share of right answers in between."""
    counts = [(one.versions.get(version, {}).get("correct", 0), one.answered_by(version)) for one in (now, before)]
    (right, all_), (earlier, of) = counts
    return f"{(right - earlier) / max(all_ - of, 1):.1%}"
