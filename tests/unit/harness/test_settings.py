"""Certificates, command lines and settings of the cluster: what can be known without starting it."""

from __future__ import annotations

import base64
import datetime
import json
import re
from pathlib import Path

import pytest
from cryptography import x509
from tests.cluster.harness import (
    binaries,
    control_plane,
    debian,
    errors,
    images,
    kind,
    network,
    node_main,
    node_programs,
    node_setup,
    pki,
)

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


def test_a_certificate_names_its_user_group_and_addresses_and_is_signed_by_the_authority() -> None:
    authority = pki.Authority(now=NOW)
    issued = authority.issue("admin", organization="system:masters", names=("localhost", "127.0.0.1"))
    certificate = x509.load_pem_x509_certificate(issued.certificate)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.credentials.certificate))
    assert certificate.subject.rfc4514_string() == "CN=admin,O=system:masters"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]


def test_a_kubeconfig_needs_no_other_file() -> None:
    authority = pki.Authority(now=NOW)
    user = authority.issue("admin")
    text = pki.kubeconfig(server="https://127.0.0.1:1", authority=authority.credentials, user=user)
    content = json.loads(text)
    assert content["current-context"] == "seatrial"
    assert base64.b64decode(content["users"][0]["user"]["client-key-data"]) == user.key


def test_a_private_key_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    pki.Authority(now=NOW).credentials.write(tmp_path, "ca")
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600


def test_only_what_does_not_need_the_api_server_starts_by_itself() -> None:
    started = {program.name for program in node_setup.plan().programs if program.autostart}
    assert started == {"containerd", "etcd", "kube-apiserver"}


def test_the_loopback_api_server_listens_nowhere_else() -> None:
    plane = control_plane.ControlPlane(
        kube=Path("/kube"), state=Path("/state"), bind="127.0.0.1", address="127.0.0.1", port=1, etcd_port=2,
        etcd_peer_port=3, services="198.19.0.0/24",
    )  # fmt: skip
    assert "--bind-address=127.0.0.1" in control_plane.apiserver(plane, node=False).argv
    urls = [word for word in control_plane.etcd(plane).argv if "listen" in word]
    assert all("http://127.0.0.1:" in url for url in urls)


def test_prometheus_takes_address_and_labels_from_pod_and_annotation() -> None:
    (job,) = json.loads(json.dumps(node_programs.scrape_pods({})))["scrape_configs"]
    rules = {rule.get("target_label"): rule for rule in job["relabel_configs"]}
    assert re.fullmatch(rules["__address__"]["regex"], "198.18.0.7:8082")
    assert re.fullmatch(rules["__address__"]["regex"], "198.18.0.7:") is None
    assert {"namespace", "pod"} <= rules.keys()


def test_the_nodes_addresses_are_those_reserved_for_benchmarks() -> None:
    settings = node_programs.files(node_setup.plane())
    assert network.NODE.startswith("198.18.")
    assert f'"clusterCIDR": "{network.PODS}"' in settings["proxy.yaml"]
    assert images.PAUSE in settings["containerd.toml"]


def test_a_place_that_holds_what_the_node_needs_is_not_covered() -> None:
    assert node_main.coverable([Path("/home/me/.cache/seatrial")]) == ["/run", "/var/log", "/var/lib"]
    assert node_main.coverable([Path("/var/lib/ci/.cache/seatrial")]) == ["/run", "/var/log"]


def test_a_programs_key_changes_with_source_and_flags(tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text("package main")
    program = binaries.Program("x", "x", "-s", folder=tmp_path)
    before = program.key()
    (tmp_path / "notes.txt").write_text("not compiled")
    assert program.key() == before
    (tmp_path / "main.go").write_text("package main // changed")
    assert program.key() != before
    assert binaries.Program("x", "x", "-w", folder=tmp_path).key() != program.key()


def test_a_machine_without_go_is_told_so_in_one_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.MissingTool, match=r"Go is not installed.*Install Go 1\.24.*CLUSTER=kind"):
        binaries.check_go()


def test_an_old_go_is_told_so_in_one_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "go").write_text("#!/bin/sh\necho go1.19.8\n")
    (tmp_path / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(errors.MissingTool, match=r"Go is go1\.19\.8, too old"):
        binaries.check_go()


def test_only_root_can_have_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(errors.MissingTool, match="CLUSTER=kind"):
        debian.ensure(say=print)


def test_an_unknown_image_is_refused_with_the_known_ones() -> None:
    with pytest.raises(errors.HarnessError, match="use one of operator, serving, store, client"):
        images.lookup("web")


def test_kind_without_its_tools_names_all_of_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.MissingTool, match="needs docker, kind, kubectl, helm"):
        kind.check_tools()


@pytest.mark.parametrize("content", [None, "current-context: production"], ids=["none", "another"])
def test_kind_refuses_a_cluster_it_did_not_make(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "kubeconfig"
    if content is not None:
        file.write_text(content)
    with pytest.raises(errors.ForeignCluster, match="not made here"):
        kind.check_ours(file)


def test_kind_takes_its_own_cluster(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(f"current-context: {kind.CONTEXT}")
    kind.check_ours(tmp_path / "kubeconfig")


def test_kind_writes_its_own_kubeconfig_only() -> None:
    command = kind.create_command()
    assert command[command.index("--kubeconfig") + 1] == str(kind.kubeconfig())
    assert kind.kubeconfig().parts[-2] == "kind-seatrial"


def test_docker_builds_a_derived_image_on_ours_and_another_on_its_default() -> None:
    derived = kind.build_command(images.lookup("store"), contexts={"models": Path("/models")})
    assert "BASE=seatrial.dev/serving:dev" in derived
    assert "models=/models" in derived
    assert "--build-arg" not in kind.build_command(images.lookup("operator"), contexts={})
