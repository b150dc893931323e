"""The group of commands: help, completion, and mistakes before any cluster is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seatrial.plugin import completion, main

NEED_A_CLUSTER = (
    "abort",
    "card",
    "explain",
    "get",
    "history",
    "pause",
    "pin",
    "promote",
    "refresh-image",
    "resume",
    "retry",
)


def run(*arguments: str, kubeconfig: str | None = None) -> Result:
    return CliRunner().invoke(main.group, list(arguments), env={"KUBECONFIG": kubeconfig})


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_has_help_that_begins_with_what_it_does(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert result.output.splitlines()[2].strip()[0].isupper()


@pytest.mark.parametrize("name", NEED_A_CLUSTER)
def test_without_a_kubeconfig_one_sentence_says_where_it_was_looked_for(name: str, tmp_path: Path) -> None:
    result = run(name, "churn", kubeconfig=str(tmp_path / "none"))
    assert result.exit_code == 3
    assert result.output == (
        f"kubectl seatrial: there is no kubeconfig at {tmp_path}/none: give --kubeconfig or set KUBECONFIG\n"
    )


CONFIGS = {
    "empty": ("", "names no context that can be used"),
    "no YAML": ("a: [", "names no context that can be used"),
    "no current context": ("apiVersion: v1\nkind: Config\ncontexts: []\nclusters: []\nusers: []\n", "names no context"),
    "text": ("hello", "names no context that can be used"),
}


@pytest.mark.parametrize(("content", "said"), CONFIGS.values(), ids=CONFIGS)
def test_a_kubeconfig_that_can_not_be_used_is_named(content: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(content)
    result = run("get", kubeconfig=str(file))
    assert (result.exit_code, len(result.output.splitlines())) == (3, 1), result.output
    assert said in result.output
    assert str(file) in result.output


def test_a_name_and_all_namespaces_exclude_each_other(tmp_path: Path) -> None:
    assert run("get", "churn", "-A", kubeconfig=str(tmp_path)).exit_code != 0


def test_commands_and_options_are_completed() -> None:
    assert [one.split("\t")[0] for one in completion.proposals(["re"])] == [
        "refresh-image",
        "replay",
        "resume",
        "retrain",
        "retry",
    ]
    assert any(one.startswith("--full") for one in completion.proposals(["promote", "churn", "--f"]))


def test_a_cluster_that_can_not_be_asked_completes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert completion.proposals(["get", "ch"]) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_a_script(shell: str) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_KUBECTL_SEATRIAL_COMPLETE" in result.output
