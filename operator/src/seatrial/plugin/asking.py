"""Which commands would come to nothing now, and why. Pure: the object as it was read in, a sentence out.

The operator decides in the end and says so in an event; this saves the user the wait. What can't be told from the
object alone is let through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seatrial.api import stage as stages
from seatrial.api import status
from seatrial.api.status import VerdictKind
from seatrial.plugin.view import View

PREFIX = "seatrial.dev/"
FULL = "/full"
AT_ONCE = "/now"


def why_not(command: str, view: View) -> str:
    """Why the command would do nothing; "" where it would do something, or this plugin doesn't know it."""
    check = _CHECKS.get(command)
    return check(view) if check is not None else ""


def _promote(view: View) -> str:
    if view.status.candidate is None:
        return f"nothing is rolling out: {_serves(view)}"
    if _free_of_choice(view) and view.status.candidate.hold is None:
        return f"{_who(view)} has passed its last step already and is getting all traffic"
    return ""


def _abort(view: View) -> str:
    if view.status.candidate is None and view.status.previous is None:
        return f"nothing is rolling out or soaking: {_serves(view)}; rollback goes back to an older version"
    return ""


def _pause(view: View) -> str:
    candidate = view.status.candidate
    if candidate is None:
        return f"nothing is rolling out: {_serves(view)}"
    if candidate.hold is not None:
        return f"{_who(view)} is held already: {candidate.hold.message}"
    if _free_of_choice(view) and candidate.weight == 100:
        return f"it is too late: {_who(view)} has all traffic already; abort goes back"
    return ""


def _resume(view: View) -> str:
    candidate = view.status.candidate
    if candidate is None:
        return f"nothing is rolling out: {_serves(view)}"
    if candidate.hold is None:
        waiting = candidate.waiting_for_approval
        return f"{_who(view)} is not paused" + ("; its step waits for promote" if waiting else "")
    if not candidate.hold.by_command:
        return f"{_who(view)} is held because {candidate.hold.message}: promote goes on, abort rejects it"
    return ""


def _retry(view: View) -> str:
    verdict = view.verdict
    if view.status.candidate is not None:
        return f"{_who(view)} is on its way already"
    if verdict is None and not view.is_true("Stalled"):
        return f"version {view.version} was not rejected: {_serves(view)}"
    if verdict is not None and verdict.verdict is not VerdictKind.REJECTED:
        return f"version {view.version} was not rejected, it was {verdict.verdict.lower()}"
    return ""


def _refresh_image(view: View) -> str:
    image = view.raw.get("spec", {}).get("serving", {}).get("image")
    return f"spec.serving.image names {image}, which is to be changed there" if image else ""


def _accept_drift(view: View) -> str:
    drift = view.status.drift
    if drift is None:
        return f"nothing is said of drift: {_serves(view)}"
    if not drift.columns:
        return f"no drift is found: the traffic is as {_serves(view).removesuffix(' serves')} knows it"
    return ""


def _retrain(view: View) -> str:
    if not view.raw.get("spec", {}).get("retraining"):
        return f"there is no spec.retraining, so nothing says how: {_serves(view)}"
    return ""


def offered(view: View) -> str:
    """The version that waits for the adopt command, "" where none does."""
    told = _trained(view).get("offered")
    return str(told.get("version", "")) if isinstance(told, dict) else ""


def _adopt(view: View) -> str:
    return "" if offered(view) else f"no version of a training run waits to be adopted: {_serves(view)}"


def _unfollow(view: View) -> str:
    return "" if _trained(view) else f"no version of a training run is followed: {_serves(view)}"


def _trained(view: View) -> dict[str, Any]:
    told = (view.raw.get("status") or {}).get("trained")
    return told if isinstance(told, dict) else {}


_CHECKS: Mapping[str, Callable[[View], str]] = {
    "promote": _promote,
    "abort": _abort,
    "pause": _pause,
    "resume": _resume,
    "retry": _retry,
    "refresh-image": _refresh_image,
    "accept-drift": _accept_drift,
    "retrain": _retrain,
    "adopt": _adopt,
    "unfollow": _unfollow,
}


def revisions(view: View) -> dict[str, str]:
    """Revisions that a rollback may name, with their versions, the newest first, as far as status knows."""
    standing: dict[str, status.Verdict] = {}
    for one in view.status.verdicts:
        standing.setdefault(one.revision, one)
    good = {name: one.model_version for name, one in standing.items() if one.verdict is VerdictKind.PROMOTED}
    previous = view.status.previous
    found = {previous.revision: previous.model_version} if previous is not None else {}
    return {name: version for name, version in {**found, **good}.items() if name != asked_for(view)}


def asked_for(view: View) -> str:
    """The revision that the spec asks for, "" where status doesn't tell."""
    now = view.status
    if now.set_back is not None:
        return now.set_back.instead_of
    if now.candidate is not None:
        return now.candidate.revision
    if now.stable is not None and view.is_true("Ready"):
        return now.stable.revision
    return view.verdict.revision if view.verdict is not None else ""


def target(view: View, named: str) -> tuple[str, str]:
    """The revision that a rollback to `named` (a revision or a version's label) means, and why there is none."""
    choice, stable = revisions(view), view.status.stable
    meant = [named] if named in choice else [name for name, version in choice.items() if version == named]
    if len(meant) == 1:
        if stable is not None and meant[0] == stable.revision and view.status.candidate is None:
            return "", f"version {stable.model_version} ({stable.revision}) serves already"
        return meant[0], ""
    if len(meant) > 1:
        return "", f"version {named} is several revisions: name one of {', '.join(meant)}"
    if stable is not None and named in (stable.revision, stable.model_version) and view.status.candidate is None:
        return "", f"version {stable.model_version} ({stable.revision}) serves already"
    if named == asked_for(view):
        return "", f"{named} is the version that the spec asks for"
    known = {one.revision for one in view.status.verdicts}
    if len(view.status.verdicts) >= status.VERDICTS_KEPT and named not in known:
        return named, ""  # older than what status keeps: the operator's records go back further
    which = ", ".join(f"{name} (version {version})" for name, version in choice.items())
    there = f"are {which}" if which else "is none"
    return "", f"{named} is no version that was promoted and not refuted since; there {there}"


def _free_of_choice(view: View) -> bool:
    """All steps are passed, or there are none: what is left is to make pods and move the traffic."""
    return isinstance(view.stage, stages.Promoting | stages.TakingOver)


def _who(view: View) -> str:
    candidate = view.status.candidate
    return f"version {candidate.model_version}" if candidate is not None else f"version {view.version}"


def _serves(view: View) -> str:
    stable = view.status.stable
    return f"version {stable.model_version} serves" if stable is not None else "no version serves yet"
