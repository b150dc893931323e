"""`python -m tests.cluster.demo`: apply six versions one after the other and check what becomes of each."""

from __future__ import annotations

import dataclasses
import sys

import rich.console
from tests.cluster import installation, watching
from tests.cluster.demo import view
from tests.cluster.demo.scenarios import SCENARIOS, Scenario
from tests.cluster.harness import errors

DEADLINE = 240.0  # seconds for one version; the longest way takes about 100


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of one version."""

    scenario: Scenario
    sight: watching.Sight
    before: watching.Books
    shares: str
    """Asked and seen, of each step that gave it answers."""

    @property
    def version(self) -> str:
        return self.scenario.sample.removeprefix("digits-v")

    @property
    def seen(self) -> str:
        verdict = self.sight.verdict(self.version)
        return f"{verdict.verdict} ({verdict.reason})" if verdict else "no verdict"

    @property
    def expected(self) -> str:
        return f"{self.scenario.verdict} ({' or '.join(self.scenario.reasons)})"

    @property
    def as_expected(self) -> bool:
        verdict = self.sight.verdict(self.version)
        return (
            verdict is not None and verdict.verdict == self.scenario.verdict and verdict.reason in self.scenario.reasons
        )

    @property
    def wrongs(self) -> list[str]:
        """Everything that isn't as it must be."""
        books, serving = self.sight.books, self.sight.status.stable
        served = books.answered_by(self.version)
        failed = self.errors_seen
        checks = {
            f"expected {self.expected}, seen {self.seen}": not self.as_expected,
            f"version {self.scenario.serving} should serve": not serving
            or serving.model_version != self.scenario.serving,
            f"a refused version answered {served} requests": not self.scenario.gets_traffic and served > 0,
            f"users saw {failed} failed answers": failed > 0,
            "requests were lost": books.lost > self.before.lost,
            "errors that no model made": books.not_the_models_fault > self.before.not_the_models_fault,
        }
        return [text for text, wrong in checks.items() if wrong]

    def row(self) -> list[str]:
        own = self.sight.books.versions.get(self.version, {})
        return [
            f"v{self.version} {self.scenario.title}",
            self.expected,
            self.seen + ("" if not self.wrongs else "  << WRONG"),
            self._breach_to_zero(),
            self.shares,
            str(own.get("sent", 0)),
            str(own.get("covered", 0)),
            str(self.errors_seen),
            str(self.sight.books.lost - self.before.lost),
        ]

    @property
    def errors_seen(self) -> int:
        """Answers that went wrong for whoever asked, whoever's fault it was, while this version was on its way."""
        now, before = self.sight.books, self.before
        return now.model_errors - before.model_errors + now.not_the_models_fault - before.not_the_models_fault

    def _breach_to_zero(self) -> str:
        rollback, verdict = self.sight.status.last_rollback, self.sight.verdict(self.version)
        if rollback is None or verdict is None or rollback.source != verdict.revision or rollback.seconds is None:
            return "-"
        return f"{rollback.seconds:.1f} s"


def main() -> int:
    console = rich.console.Console()
    if not console.is_terminal:
        console.width = 160
    show = view.View(console)
    show.say("cold, the cluster's programs and images are built first: about 15 minutes on two cores; warm, 20 seconds")
    platform = installation.install(say=show.say)
    subject = watching.Subject(platform)
    _clean(subject, show)
    results = []
    for scenario in SCENARIOS:
        results.append(_try(subject, scenario, show))
        if scenario is SCENARIOS[0]:
            show.say("traffic: 50 requests a second, every answer checked")
            subject.start_client()
    show.end()
    console.print(view.result_table([result.row() for result in results]))
    wrongs = [f"v{result.version}: {wrong}" for result in results for wrong in result.wrongs]
    for wrong in wrongs:
        console.print(wrong, style="bold red")
    _explain(results, console)
    _goodbye(platform, console)
    return 1 if wrongs else 0


def _try(subject: watching.Subject, scenario: Scenario, show: view.View) -> Result:
    show.begin(scenario)
    before = subject.books()
    subject.apply(subject.platform.sample(scenario.sample))
    version = scenario.sample.removeprefix("digits-v")
    shares: dict[int, str] = {}

    def done(sight: watching.Sight) -> bool:
        return sight.settled and sight.verdict(version) is not None

    def look(sight: watching.Sight) -> None:
        traffic = sight.status.traffic
        if traffic is not None and traffic.measured_share and 0 < traffic.desired_weight < 100:
            shares[traffic.desired_weight] = traffic.measured_share
        show.show(sight)

    sight = subject.wait(done, what=f"a verdict on {scenario.sample}", seconds=DEADLINE, show=look)
    show.end()
    show.say(f"  {sight.ready[1]}: {sight.message}")
    told = ", ".join(f"{asked}% / {seen}" for asked, seen in shares.items())
    return Result(scenario=scenario, sight=sight, before=before, shares=told or "-")


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


def _explain(results: list[Result], console: rich.console.Console) -> None:
    for result in results:
        verdict = result.sight.verdict(result.version)
        if verdict is not None and verdict.verdict == "Rejected":
            console.print(f"v{result.version}: {verdict.message}", markup=False, highlight=False, soft_wrap=True)


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
