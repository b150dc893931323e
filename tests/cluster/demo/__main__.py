"""`python -m tests.cluster.demo`: try six versions, then change the world around the one that serves; check what comes
of each.
"""

from __future__ import annotations

import sys
import time

import rich.console
from tests.cluster import installation, watching
from tests.cluster.demo import aging, boards, outcomes, view
from tests.cluster.demo.scenarios import SCENARIOS, Scenario
from tests.cluster.harness import errors

DEADLINE = 480.0  # seconds for one version; the longest way takes about 100


def main() -> int:
    console = rich.console.Console()
    if not console.is_terminal:
        console.width = 160
    show = view.View(console)
    show.say("cold, the cluster's programs and images are built first: about 15 minutes on two cores; warm, 20 seconds")
    platform = installation.install(say=show.say, hour=aging.HOUR)
    subject = watching.Subject(platform)
    _clean(subject, show)
    results, began = list[outcomes.Outcome](), time.time()
    for scenario in SCENARIOS:
        results.append(_try(subject, scenario, show))
        if scenario is SCENARIOS[0]:
            show.say("traffic: 50 requests a second, every answer checked")
            subject.start_client()
    results += [aging.drift(subject, show), aging.missing(subject, show)]
    console.print(view.result_table([result.row() for result in results]))
    wrongs = [f"{result.name}: {wrong}" for result in results for wrong in result.wrongs]
    wrongs += _boards(subject, console, since=began)
    for wrong in wrongs:
        console.print(wrong, style="bold red")
    _explain(results, console)
    _goodbye(platform, console)
    return 1 if wrongs else 0


def _try(subject: watching.Subject, scenario: Scenario, show: view.View) -> outcomes.Outcome:
    show.begin(scenario)
    before = subject.books()
    subject.apply(subject.platform.sample(scenario.sample))
    shares = view.Shares()

    def done(sight: watching.Sight) -> bool:
        return sight.settled and sight.verdict(scenario.version) is not None

    def look(sight: watching.Sight) -> None:
        shares.note(sight)
        show.show(sight)

    sight = subject.wait(done, what=f"a verdict on {scenario.sample}", seconds=DEADLINE, show=look)
    show.end()
    show.say(f"  {sight.ready[1]}: {sight.message}")
    return outcomes.of_rollout(scenario, sight, before, shares=shares.text)


def _clean(subject: watching.Subject, show: view.View) -> None:
    """What an earlier demo left; a client started anew has empty books."""
    space, kubectl = subject.namespace, subject.platform.cluster.kubectl
    if subject.raw() is None and not subject.platform.list("pods", space, "app=client"):
        return
    show.say("removing what an earlier demo left")
    kubectl("delete", "deployment/client", "-n", space, "--ignore-not-found", "--wait")
    kubectl("delete", watching.RESOURCE, subject.name, "-n", space, "--ignore-not-found", "--wait")
    for selector in (f"seatrial.dev/modeldeployment={subject.name}", "app=client"):
        kubectl("wait", "pods", "-n", space, "-l", selector, "--for=delete", "--timeout=90s", check=False)


def _explain(results: list[outcomes.Outcome], console: rich.console.Console) -> None:
    for result in results:
        verdict = result.sight.verdict(result.version)
        if verdict is not None and verdict.verdict == "Rejected":
            console.print(f"v{result.version}: {verdict.message}", markup=False, highlight=False, soft_wrap=True)


def _boards(subject: watching.Subject, console: rich.console.Console, *, since: float) -> list[str]:
    """Asks the Prometheus that has looked on for all that the boards show: a line, and what had no answer."""
    variables = {"$__rate_interval": "20s", "$__range": "15m", "$namespace": subject.namespace}
    variables["$deployment"] = subject.name
    wrongs, figures = [], []
    for name, board in boards.BOARDS.items():
        asked = boards.unrecorded(boards.queries(board, variables))
        silent = boards.unanswered(subject.platform.cluster.prometheus_url, asked, start=since, end=time.time())
        figures.append(f"{name} {len(asked) - len(silent)} of {len(asked)}")
        missing = [one.where for one in silent if name in boards.ANSWERED and one.where not in boards.UNSEEN]
        wrongs += [f"board {name}: no answer to {where}" for where in missing]
    console.print(f"boards, queries that had an answer: {', '.join(figures)}", highlight=False)
    return wrongs


def _goodbye(platform: installation.Platform, console: rich.console.Console) -> None:
    console.print("\nThe cluster stays up. To look around:", highlight=False)
    lines = (
        f"  export KUBECONFIG={platform.cluster.kubeconfig}",
        f'  alias kubectl="{" ".join(platform.cluster.kubectl_argv)}"',
        f"  kubectl get mdeploy -n {installation.NAMESPACE} -o wide",
        f"  kubectl describe mdeploy digits -n {installation.NAMESPACE}",
        f"  Prometheus: {platform.cluster.prometheus_url}",
        "  make cluster-down    # when done",
    )
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except errors.HarnessError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
