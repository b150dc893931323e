"""What the operator writes into config.json is what the server reads: both keep types of their own."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from seatrial.api import base, spec, values
from seatrial.rollout import config as operators
from seatrial.rollout import monitoring, revision, templates
from seatrial_server.host import config as servers
from seatrial_server.host import live
from seatrial_server.observe import drift

TLS = spec.Tls(secret_ref=base.SecretReference(name="churn-tls"))


def written(**serving: object) -> str:
    """config.json of a deployment with these serving settings."""
    model = spec.Model(uri="http://store/7.onnx", sha256="9f86d081" * 8, version="7")
    wish = spec.Spec(
        model=model,
        quantization=spec.Quantization(mode=spec.QuantizationMode.DYNAMIC),
        serving=spec.Serving(**serving),  # type: ignore[arg-type]
    )
    content = revision.wanted(wish, name="churn", default_image="seatrial.dev/serving:1", known=())
    template = {"spec": {"volumes": [{"name": "relay"}, {"name": "monitoring"}]}}
    record = revision.Record(content=content, uri=model.uri, pod_template=template)
    return operators.render(namespace="shop", name="churn", record=record, analysis=spec.Analysis())


def read(text: str, folder: Path) -> servers.Config:
    (folder / "config.json").write_text(text)
    return servers.load(folder / "config.json")


def test_every_written_field_is_read(tmp_path: Path) -> None:
    strict = msgspec.defstruct("Strict", [], bases=(servers.Config,), forbid_unknown_fields=True, kw_only=True)
    text = written(
        cache=spec.Cache(),
        fallback=spec.Fallback(mode=spec.FallbackMode.STATIC),
        version_pinning=spec.VersionPinning.REJECT,
        tls=TLS,
        cors=spec.Cors(allow_origins=("https://app.example.com",)),
        tracing=spec.Tracing(endpoint="http://collector:4318"),
    )
    msgspec.json.decode(text, type=strict)
    settings = read(text, tmp_path)
    assert (settings.deployment, settings.model.version, settings.quantization.mode) == ("churn", "7", "Dynamic")
    assert settings.relay is not None
    assert settings.monitoring is not None


def test_the_cache_is_off_unless_asked_for(tmp_path: Path) -> None:
    assert read(written(), tmp_path).cache is None
    wanted = spec.Cache(max_bytes="1Mi", ttl=values.Duration.parse("90s"))
    assert read(written(cache=wanted), tmp_path).cache == servers.Cache(max_bytes=1024**2, ttl_seconds=90)


def test_the_fallback_is_none_unless_asked_for(tmp_path: Path) -> None:
    assert read(written(), tmp_path).fallback.mode == "None"
    wanted = spec.Fallback(mode=spec.FallbackMode.STATIC)
    assert read(written(fallback=wanted), tmp_path).fallback.mode == "Static"


def test_another_version_is_answered_unless_it_shall_be_refused(tmp_path: Path) -> None:
    assert read(written(), tmp_path).version_pinning == "Answer"
    assert read(written(version_pinning=spec.VersionPinning.REJECT), tmp_path).version_pinning == "Reject"


def test_encryption_pages_and_traces_are_off_unless_asked_for(tmp_path: Path) -> None:
    off = read(written(), tmp_path)
    assert (off.tls, off.cors, off.tracing) == (None, None, None)
    origins = ("https://app.example.com", "http://localhost:3000", "*")
    tracing = spec.Tracing(endpoint="http://collector:4318", ratio=values.Ratio.parse("2.5%"))
    on = read(written(tls=TLS, cors=spec.Cors(allow_origins=origins), tracing=tracing), tmp_path)
    assert on.tls == servers.Tls(certificate=f"{templates.TLS}/tls.crt", key=f"{templates.TLS}/tls.key")
    assert on.cors == servers.Cors(allow_origins=origins)
    assert on.tracing == servers.Tracing(endpoint="http://collector:4318", ratio=0.025)


@pytest.mark.parametrize("mode", list(spec.QuantizationMode))
def test_the_server_knows_every_mode_of_quantization(mode: spec.QuantizationMode) -> None:
    assert msgspec.convert({"mode": mode.value}, servers.Quantization).mode == mode.value


@pytest.mark.parametrize("mode", spec.DriftMode)
def test_live_settings_are_understood(mode: spec.DriftMode) -> None:
    told: list[str] = []
    settings = live.Live()
    settings.on("drift", drift.Settings, lambda one: told.append(one.mode))
    settings.take(monitoring.render(spec.Monitoring(drift=spec.Drift(mode=mode))).encode())
    assert told == [mode]
