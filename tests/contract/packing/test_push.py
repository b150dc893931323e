"""Packages in real stores, fetched again as a cluster fetches them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.contract.packing import samples
from tests.contract.server import registry, stores, test_sources_s3

import seatrial
from seatrial import packing
from seatrial.packing import pushing

endpoint = test_sources_s3.endpoint
FRAME = samples.customers(300)
TREES = samples.trees(FRAME)


@pytest.fixture
def package(tmp_path: Path) -> packing.Packed:
    return seatrial.pack(TREES, data=FRAME, target="churned", out=tmp_path / "churn-7.tar.gz")


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.clean_environment(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", test_sources_s3.KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", test_sources_s3.SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    stores.clean_environment(monkeypatch)


def fetched(uri: str, package: packing.Packed, folder: Path) -> bytes:
    return stores.download(uri, folder, sha256=package.sha256, max_bytes=package.size)


@pytest.mark.usefixtures("s3")
def test_a_package_in_s3_is_what_a_cluster_fetches(tmp_path: Path) -> None:
    packed = seatrial.pack(
        TREES, data=FRAME, target="churned", out=tmp_path / "churn-7.tar.gz", push="s3://bucket/pushed/"
    )
    assert packed.uri == "s3://bucket/pushed/churn-7.tar.gz"
    assert f"uri: {packed.uri}\n    sha256: {packed.sha256}" in packed.spec_model
    assert fetched(packed.uri, packed, tmp_path) == packed.path.read_bytes()


@pytest.mark.usefixtures("s3")
def test_what_is_in_the_store_is_never_replaced(package: packing.Packed, tmp_path: Path) -> None:
    uri = pushing.push(package.path, "s3://bucket/kept/churn.tar.gz")
    assert pushing.push(package.path, uri) == uri, "the same bytes again"
    other = tmp_path / "other.tar.gz"
    other.write_bytes(b"another package")
    with pytest.raises(packing.PackError, match="is another package, and versions that serve may be pinned to it"):
        pushing.push(other, uri)
    assert fetched(uri, package, tmp_path) == package.path.read_bytes()


@pytest.mark.usefixtures("s3")
def test_a_refusal_names_the_variables_and_no_secret(package: packing.Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(packing.PackError, match="check the bucket, and the variables AWS_ACCESS_KEY_ID"):
        pushing.push(package.path, "s3://nowhere/churn.tar.gz")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-value")
    with pytest.raises(packing.PackError, match="the package is kept in") as caught:
        pushing.push(package.path, "s3://bucket/churn.tar.gz")
    assert "wrong-value" not in str(caught.value)


@pytest.mark.usefixtures("clean")
def test_a_package_in_a_registry_is_pinned_by_its_manifest(package: packing.Packed, tmp_path: Path) -> None:
    with registry.running(tmp_path) as store:
        uri = pushing.push(package.path, f"oci://{store.host}/models/churn:7")
        assert uri.startswith(f"oci://{store.host}/models/churn@sha256:")
        assert pushing.push(package.path, f"oci://{store.host}/models/churn:7") == uri, "no dates"
        assert fetched(uri, package, tmp_path) == package.path.read_bytes()


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("login", [registry.with_password, registry.with_tokens], ids=["password", "token server"])
def test_a_registry_gets_the_login_that_it_asks_for(
    package: packing.Packed, tmp_path: Path, login: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with login(tmp_path) as store:  # type: ignore[operator]  # either of the two
        address = f"oci://{store.host}/models/churn:7"
        with pytest.raises(packing.PackError, match=r"the registry answered 401 .*OCI_USERNAME and OCI_PASSWORD"):
            pushing.push(package.path, address)
        monkeypatch.setenv("OCI_USERNAME", registry.USER)
        monkeypatch.setenv("OCI_PASSWORD", registry.PASSWORD)
        uri = pushing.push(package.path, address)
        assert fetched(uri, package, tmp_path) == package.path.read_bytes()


@pytest.mark.usefixtures("clean")
def test_a_registry_that_is_not_there_is_said(package: packing.Packed) -> None:
    with pytest.raises(packing.PackError, match="check that the registry answers; the package is kept in"):
        pushing.push(package.path, "oci://127.0.0.1:1/models/churn:7")
