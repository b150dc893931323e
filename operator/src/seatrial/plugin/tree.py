"""A ModelDeployment as a tree: who serves, who is on trial with which share, its evidence, its pods. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text
from rich.tree import Tree

from seatrial.api import spec, status
from seatrial.plugin import words
from seatrial.plugin.view import View

Pods = Sequence[dict[str, Any]]
REVISION = "seatrial.dev/revision"
LAST_VERDICTS = 3


def render(view: View, pods: Pods, *, now: datetime) -> Tree:
    """The whole tree."""
    root = Tree(_head(view))
    told = view.status
    if told.candidate is not None:
        _candidate(root, view, told.candidate, pods, now=now)
    if told.stable is not None:
        _stable(root, told.stable, pods, now=now)
    if told.previous is not None:
        previous = told.previous
        branch = root.add(
            _named("warm", previous.model_version, previous.revision, f"until {_time(previous.warm_until)}")
        )
        _pods(branch, _of(pods, previous.revision), now=now)
    if told.drift is not None:
        _watched(root, "drift", words.drift(told.drift))
    if told.quality is not None:
        _watched(root, "quality", words.quality(told.quality))
    _verdicts(root, told.verdicts[:LAST_VERDICTS], now=now)
    return root


def _watched(root: Tree, what: str, said: list[str]) -> None:
    """What is watched beside the rollouts: the outcome, and under it why."""
    outcome, *others = said
    branch = root.add(Text.assemble((f"{what} ", "bold"), outcome))
    for one in others:
        branch.add(Text(one))


def _head(view: View) -> Text:
    ready = view.condition("Ready")
    state = ready.status.value if ready is not None else "Unknown"
    style = "red" if view.is_true("Stalled") else {"True": "green", "False": "yellow"}.get(state, "dim")
    text = Text.assemble((f"{view.namespace}/{view.name}", "bold"), "  ", (f"{view.status.phase}", style))
    text.append(f"  Ready={state} {view.reason}", style="dim")
    if not view.seen:
        text.append("  (the operator hasn't seen the newest spec yet)", style="yellow")
    if view.message:
        text.append(f"\n{view.message}")
    return text


def _candidate(root: Tree, view: View, candidate: status.Candidate, pods: Pods, *, now: datetime) -> None:
    branch = root.add(_named("candidate", candidate.model_version, candidate.revision, _stage(view, candidate)))
    if candidate.step or candidate.weight:
        branch.add(_shares(view, candidate))
    if candidate.hold is not None:
        branch.add(Text(f"held since {_time(candidate.hold.at)}: {candidate.hold.message}", style="yellow"))
    analysis = view.status.analysis
    if analysis is not None and candidate.step:
        _evidence(branch, analysis)
    _pods(branch, _of(pods, candidate.revision), now=now)


def _stage(view: View, candidate: status.Candidate) -> str:
    if candidate.promoting:
        return "getting all traffic"
    if candidate.step:
        waits = ", waits for promote" if candidate.waiting_for_approval else ""
        return f"step {candidate.step} of {_steps(view, candidate)}{waits}"
    if candidate.started_at is not None:
        return "its pods are starting"
    again = f", attempt {candidate.trial_attempt}" if candidate.trial_attempt > 1 else ""
    return f"on trial{again}"


def _steps(view: View, candidate: status.Candidate) -> str:
    if view.spec is None:
        return "?"
    asked = view.spec.rollout.steps
    try:
        usual = spec.DEFAULT_STEPS[spec.Provider(candidate.provider or spec.DEFAULT_PROVIDER)]
    except ValueError:
        return "?"
    return str(len(asked or usual))


def _shares(view: View, candidate: status.Candidate) -> Text:
    text = Text(f"share: {candidate.weight}% asked")
    traffic = view.status.traffic
    if traffic is not None and traffic.measured_share:
        text.append(f", {traffic.measured_share} seen")
        if traffic.requests is not None:
            both = traffic.requests.candidate + traffic.requests.stable
            text.append(f" ({traffic.requests.candidate} of {both} requests)")
    if candidate.shadow:
        text.append(f"; copies of {candidate.shadow}%")
    return text


def _evidence(branch: Tree, analysis: status.AnalysisStatus) -> None:
    under = branch.add(Text.assemble("evidence: ", _outcome(analysis.outcome), f" over {analysis.window}"))
    for metric in analysis.metrics:
        line = Text(f"{metric.name:<16} ")
        line.append_text(words.bar(words.progress(metric), style=words.STYLES.get(metric.outcome, "")))
        if metric.evidence:
            line.append(f" {metric.evidence} of {metric.bound}")
        line.append(f"  {words.share(metric.candidate)} against {words.share(metric.stable)}" if metric.stable else "")
        line.append("  ").append_text(_outcome(metric.outcome))
        under.add(line)


def _outcome(outcome: str) -> Text:
    return Text(outcome, style=words.STYLES.get(outcome, ""))


def _stable(root: Tree, stable: status.Stable, pods: Pods, *, now: datetime) -> None:
    since = f"since {_time(stable.since)}" + (f", {stable.precision}" if stable.precision else "")
    branch = root.add(_named("stable", stable.model_version, stable.revision, since))
    if stable.breach is not None:
        branch.add(Text(stable.breach.message, style="red"))
    _pods(branch, _of(pods, stable.revision), now=now)


def _named(role: str, version: str, revision: str, rest: str) -> Text:
    return Text.assemble((f"{role} ", "bold"), f"version {version} ", (f"({revision})", "dim"), f"  {rest}")


def _pods(branch: Tree, pods: Iterable[dict[str, Any]], *, now: datetime) -> None:
    for pod in sorted(pods, key=lambda one: str(one["metadata"]["name"])):
        state, ready = words.pod_state(pod)
        age = words.age(pod["metadata"].get("creationTimestamp"), now)
        branch.add(
            Text.assemble(f"pod {pod['metadata']['name']}  ", (state, "green" if ready else "yellow"), f"  {age}")
        )


def _of(pods: Pods, revision: str) -> list[dict[str, Any]]:
    return [one for one in pods if (one["metadata"].get("labels") or {}).get(REVISION) == revision]


def _verdicts(root: Tree, verdicts: Sequence[status.Verdict], *, now: datetime) -> None:
    if not verdicts:
        return
    branch = root.add(Text("verdicts", style="bold"))
    for one in verdicts:
        style = {"Promoted": "green", "Rejected": "red"}.get(one.verdict, "")
        ago = words.age(one.at, now)
        branch.add(Text.assemble(f"version {one.model_version} ", (one.verdict, style), f" {one.reason}  {ago} ago"))


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"
