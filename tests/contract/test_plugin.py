"""`kubectl seatrial` against a real API server, with objects whose statuses the small world has recorded.

Its rights are those of a service account that may get, list, watch and patch ModelDeployments, and look at pods and
events: enough for every command, and no more than that is used.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from tests.cluster.harness import shell, waiting
from tests.contract import plugin_api
from tests.contract.plugin_api import NAMESPACE, READ, WRITE, Api, Run, process, run
from tests.unit.plugin import recorded, test_card

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with plugin_api.running(tmp_path_factory.mktemp("kubeconfigs")) as api:
        yield api


@pytest.fixture(scope="module")
def plugin(api: Api) -> Run:
    """With no more rights than the plugin needs."""
    return run(api.account("user", *READ, *WRITE))


def said(result: Result, status: int = 0) -> str:
    assert result.exit_code == status, result.output
    return result.output


# looking


@pytest.mark.parametrize("command", ["get", "explain", "history"])
@pytest.mark.parametrize("situation", recorded.SITUATIONS)
def test_every_situation_can_be_looked_at_with_the_least_rights(plugin: Run, situation: str, command: str) -> None:
    shown = said(plugin(command, situation.replace(" ", "-"))).lower()
    assert "version" in shown or "nothing was decided yet" in shown


def test_all_of_a_namespace_are_a_table_with_shares_and_evidence(plugin: Run) -> None:
    lines = said(plugin("get")).splitlines()
    assert lines[0].split() == ["NAME", "READY", "STATUS", "STABLE", "CANDIDATE", "ASKED", "SEEN", "EVIDENCE"]
    assert {line.split()[0] for line in lines[1:]} >= {one.replace(" ", "-") for one in recorded.SITUATIONS}


def test_everything_can_be_had_as_data(plugin: Run) -> None:
    names = {one["metadata"]["name"] for one in json.loads(said(plugin("get", "-o", "json")))["items"]}
    assert "canary" in names
    assert "phase: Canary" in said(plugin("get", "canary", "-o", "yaml"))
    assert json.loads(said(plugin("history", "rolled-back", "-o", "json")))[0]["verdict"] == "Rejected"
    assert json.loads(said(plugin("explain", "rolled-back", "-o", "json")))["verdict"]["reason"] == "ErrorsRegressed"


@pytest.mark.parametrize(
    ("name", "status"), [("stable", 0), ("soaking", 0), ("rolled-back", 1), ("refused", 1), ("canary", 2)]
)
def test_the_exit_status_tells_how_it_stands(plugin: Run, name: str, status: int) -> None:
    assert said(plugin("status", name), status).startswith(f"{name}: ")


def test_status_waits_for_the_end_and_no_longer(api: Api) -> None:
    api.put("canary", "waited-for")
    words = ("status", "waited-for", "-n", NAMESPACE, "--timeout")
    with process(api.server.kubeconfig, *words, "1s") as short:
        assert short.wait(60) == 2
    with process(api.server.kubeconfig, *words, "90s") as waiting_:
        api.tell("waited-for", recorded.raw(api.worlds["stable"])["status"])
        assert waiting_.wait(90) == 0


def test_a_watch_shows_every_change_and_ends_with_the_object(api: Api) -> None:
    api.put("on trial", "watched")
    watched = process(api.server.kubeconfig, "get", "watched", "-n", NAMESPACE, "-w")
    assert watched.stdout is not None
    assert "Trial" in watched.stdout.readline()
    api.tell("watched", recorded.raw(api.worlds["canary"])["status"])
    waiting.until(lambda: "Canary" in watched.stdout.readline(), what="the canary", seconds=60)
    api.server.kubectl("delete", "mdeploy", "watched", "-n", NAMESPACE)
    assert "watched is deleted" in watched.communicate(timeout=60)[0]
    assert watched.returncode == 0


def test_the_picture_comes_from_the_evidence_that_the_operator_has_kept(api: Api) -> None:
    api.put("rolled back", "pictured")
    assert "a version is rolled back at the right end" in said(
        run(api.kubeconfig("nothing-kept"))("explain", "pictured", "--plot")
    )
    world = api.worlds["rolled back"]
    assert world.evidence is not None
    kept = {**world.evidence, "metadata": {"name": world.evidence["metadata"]["name"].replace("churn", "pictured")}}
    api.server.kubectl("apply", "-n", NAMESPACE, "-f", "-", input=json.dumps(kept))
    shown = said(run(api.kubeconfig("kept"))("explain", "pictured", "--plot"))
    assert "it is rolled back at 1" in shown
    assert "errors" in shown


def test_what_the_operator_has_said_lately_is_among_the_explanation(api: Api, plugin: Run) -> None:
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "canary.1", "namespace": NAMESPACE},
        "eventTime": "2026-01-01T12:00:00.000000Z",
        "reportingController": "seatrial.dev/operator",
        "reportingInstance": "operator-0",
        "action": "Reconcile",
        "type": "Warning",
        "reason": "CommandIgnored",
        "note": "seatrial.dev/retry: x came when there was nothing to retry",
        "regarding": {
            "apiVersion": "seatrial.dev/v1alpha1",
            "kind": "ModelDeployment",
            "name": "canary",
            "namespace": NAMESPACE,
        },
    }
    api.server.kubectl("apply", "-f", "-", input=json.dumps(event))
    assert "CommandIgnored: seatrial.dev/retry: x came when there was nothing to retry" in said(
        plugin("explain", "canary")
    )


# asking

ASKED = {
    "promote": ("waiting-for-approval", ("promote",), "seatrial.dev/promote"),
    "promote --full": ("canary", ("promote", "--full"), "seatrial.dev/promote"),
    "abort": ("canary", ("abort",), "seatrial.dev/abort"),
    "pause": ("canary", ("pause",), "seatrial.dev/pause"),
    "resume": ("paused", ("resume",), "seatrial.dev/resume"),
    "retry": ("rolled-back", ("retry",), "seatrial.dev/retry"),
    "refresh-image": ("stable", ("refresh-image",), "seatrial.dev/refresh-image"),
}


@pytest.mark.parametrize(("name", "words", "annotation"), ASKED.values(), ids=ASKED)
def test_a_command_sets_its_annotation_to_a_new_token_and_nothing_else(
    api: Api, plugin: Run, name: str, words: tuple[str, ...], annotation: str
) -> None:
    before = json.loads(api.server.kubectl("get", "mdeploy", name, "-n", NAMESPACE, "-o", "json"))
    command, *rest = words
    assert f"asked to {command}" in said(plugin(command, name, *rest))
    first = api.annotations(name)[annotation]
    said(plugin(command, name, *rest))
    assert api.annotations(name)[annotation] != first
    assert first.endswith("/full") == ("--full" in rest)
    after = json.loads(api.server.kubectl("get", "mdeploy", name, "-n", NAMESPACE, "-o", "json"))
    assert (after["spec"], after["status"]) == (before["spec"], before["status"])
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


def test_a_rollback_names_the_revision_of_a_version(api: Api, plugin: Run) -> None:
    first = next(one for one, version in api.worlds["second promoted"].versions.items() if version == "1")
    assert f"roll back to version 1 ({first})" in said(plugin("rollback", "second-promoted", "1"))
    assert api.annotations("second-promoted")["seatrial.dev/rollback-to"].startswith(f"{first}/")


def test_what_would_do_nothing_is_not_written(api: Api, plugin: Run) -> None:
    for words in (("promote", "soaking"), ("retry", "soaking"), ("rollback", "soaking", "9"), ("resume", "soaking")):
        assert "would do nothing: " in said(plugin(*words), 1)
    assert api.annotations("soaking") == {}


def test_pin_says_what_serves_and_where_its_bytes_are(api: Api, plugin: Run) -> None:
    assert "there is nothing to pin" in said(plugin("pin", "stable"), 1)
    without = said(plugin("pin", "rolled-back", "-o", "json"))
    world = api.worlds["rolled back"]
    stable = world.status.stable
    assert stable is not None
    assert "you may not read the record" in without
    record = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": f"rolled-back-{stable.revision}", "namespace": NAMESPACE},
        "revision": 1,
        "data": {"uri": "http://store/1.onnx"},
    }
    api.server.kubectl("apply", "-f", "-", input=json.dumps(record))
    found = json.loads(said(run(api.kubeconfig("admin"))("pin", "rolled-back", "-o", "json")))
    assert found == {"spec": {"model": {"uri": "http://store/1.onnx", "sha256": stable.sha256, "version": "1"}}}


def test_the_card_of_a_version_comes_from_what_the_operator_has_kept(api: Api, plugin: Run) -> None:
    stable = api.worlds["stable"].status.stable
    assert stable is not None
    assert "you may read neither" in one_sentence(plugin("card", "stable"))
    files = {"metadata": {"name": f"stable-{stable.revision}", "namespace": NAMESPACE}, "data": test_card.files()}
    api.server.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "ConfigMap", **files}))
    admin = run(api.kubeconfig("admin"))
    markdown = said(admin("card", "stable"))
    assert "# churn 7" in markdown
    assert f"| revision | {stable.revision} |" in markdown
    assert json.loads(said(admin("card", "stable", "--revision", "1", "-o", "cyclonedx")))["specVersion"] == "1.6"


# what can't be done


EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}


def one_sentence(result: Result) -> str:
    assert result.exit_code == 3, result.output
    (line,) = result.output.splitlines()
    assert line.startswith("kubectl seatrial: ")
    return line


def test_a_missing_crd_is_one_sentence(api: Api) -> None:
    assert "Seatrial's CRD is not installed there" in one_sentence(api.without_crd)


def test_an_object_that_is_not_there_is_one_sentence_with_names_like_it(plugin: Run) -> None:
    assert "did you mean canary?" in one_sentence(plugin("get", "canari"))
    assert "did you mean rolled-back?" in one_sentence(plugin("promote", "rolledback"))
    assert "in namespace 'shop'; there are " in one_sentence(plugin("status", "xyz-1234567890"))


def test_rights_that_are_missing_are_one_sentence(api: Api) -> None:
    reader = run(api.account("reader", *READ))
    assert "you may not patch modeldeployments in namespace 'shop'" in one_sentence(reader("abort", "canary"))
    nobody = run(api.account("nobody"))
    assert "you may not list modeldeployments" in one_sentence(nobody("get"))
    assert "you may not get modeldeployments" in one_sentence(nobody("get", "canary"))
    everywhere = one_sentence(reader("get", "-A"))
    assert "you may not list modeldeployments in all namespaces" in everywhere


def test_without_pods_and_events_there_is_still_something_to_see(api: Api) -> None:
    shown = said(run(api.account("narrow", READ[0]))("get", "canary"))
    assert "step 1 of 2" in shown
    assert "pod " not in shown


def test_credentials_that_are_not_accepted_are_one_sentence(api: Api) -> None:
    expired = run(api.kubeconfig("expired", user={"token": "eyJhbGciOiJSUzI1NiJ9.e30.bm90aGluZw"}))
    assert "they are wrong or have expired; log in again" in one_sentence(expired("get"))


def test_a_server_that_does_not_answer_is_one_sentence(api: Api) -> None:
    nowhere = run(api.kubeconfig("nowhere", server="https://127.0.0.1:9"))
    assert "no API server answers at https://127.0.0.1:9: " in one_sentence(nowhere("get"))
    unknown = run(api.kubeconfig("unknown", server="https://nowhere.invalid:6443"))
    assert "no API server answers at https://nowhere.invalid:6443" in one_sentence(unknown("get"))


def test_a_server_that_can_not_be_trusted_is_one_sentence(api: Api) -> None:
    config = api.kubeconfig("untrusted")
    changed = json.loads(config.read_text())
    changed["clusters"][0]["cluster"].pop("certificate-authority-data", None)
    config.write_text(json.dumps(changed))
    assert "can't be trusted" in one_sentence(run(config)("get"))


def test_a_context_that_is_not_there_is_one_sentence_with_those_that_are(plugin: Run) -> None:
    assert "has no context 'prod'; it has " in one_sentence(plugin("get", "--context", "prod"))


def test_a_credential_plugin_that_is_missing_is_one_sentence(api: Api) -> None:
    user = {"exec": {**EXEC, "command": "no-such-plugin"}}
    assert one_sentence(run(api.kubeconfig("exec", user=user))("get"))


# kubeconfigs as people have them


def test_a_credential_plugin_as_clouds_have_it_is_asked(api: Api, tmp_path: Path) -> None:
    token = json.loads(api.account("cloud", *READ).read_text())["users"][0]["user"]["token"]
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": token, "expirationTimestamp": "2099-01-01T00:00:00Z"},
    }
    program = tmp_path / "cloud-login"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(credential)}\nEND\n")
    program.chmod(0o755)
    user = {
        "exec": {**EXEC, "command": str(program), "args": ["--cluster", "shop"], "env": [{"name": "A", "value": "b"}]}
    }
    assert "canary" in said(run(api.kubeconfig("cloud-exec", user=user))("get"))


def test_several_files_are_one_kubeconfig(api: Api, tmp_path: Path) -> None:
    whole = json.loads(api.kubeconfig("whole").read_text())
    first = {key: value for key, value in whole.items() if key not in ("users", "current-context")}
    (tmp_path / "clusters").write_text(json.dumps({**first, "users": []}))
    rest = {"apiVersion": "v1", "kind": "Config", "users": whole["users"], "current-context": whole["current-context"]}
    (tmp_path / "users").write_text(json.dumps({**rest, "clusters": [], "contexts": []}))
    both = Path(f"{tmp_path}/clusters{os.pathsep}{tmp_path}/users{os.pathsep}{tmp_path}/none")
    assert "canary" in said(run(both)("get"))


def test_a_certificate_that_is_not_to_be_checked_is_not(api: Api) -> None:
    config = api.kubeconfig("unchecked", **{"insecure-skip-tls-verify": True})
    changed = json.loads(config.read_text())
    changed["clusters"][0]["cluster"].pop("certificate-authority-data")
    config.write_text(json.dumps(changed))
    assert "canary" in said(run(config)("get"))


# as kubectl runs it


def test_kubectl_finds_the_plugin_and_completes_it(api: Api) -> None:
    beside = str(Path(sys.executable).parent)
    environment = {**api.server.environment, "PATH": f"{beside}:{os.environ['PATH']}"}
    kubectl = api.server.kubectl_argv
    shown = shell.run([*kubectl[:2], "seatrial", "status", "stable", "-n", NAMESPACE], env=environment)
    assert shown.startswith("stable: Promoted: ")
    proposed = shell.run([*kubectl[:2], "__complete", "seatrial", "get", "-n", NAMESPACE, "rolled"], env=environment)
    assert proposed.splitlines()[0] == "rolled-back"
