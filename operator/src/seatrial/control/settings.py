"""The operator's settings: one frozen value, made once from flags and environment, every mistake told at once.

The command line (`seatrial.__main__`) names each setting's flag and variable; this module knows what is valid.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from seatrial.api import placement, values
from seatrial.api.values import Duration
from seatrial.control import sources
from seatrial.drift import schedule
from seatrial.prometheus import access, credentials, errors
from seatrial.rollout import allowed

LEASE = "seatrial-operator"
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LEASE = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
LEVELS = ("debug", "info", "warning", "error")


class SettingsError(Exception):
    """Settings that can't be used; the text has one line for each mistake, naming flag and variable."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How this operator runs."""

    serving_image: str
    pod_namespace: str
    pod_name: str
    serving_images: tuple[str, ...] = ()
    serving_defaults: placement.Placement = placement.Placement()
    lease_name: str = LEASE
    sources: sources.Policy = sources.Policy()
    scrape_interval: Duration = Duration(seconds=15)
    namespaces: tuple[str, ...] = ()
    workers: int = 8
    probe_port: int = 8080
    metrics_port: int = 9090
    log_level: str = "info"
    drift_hour: int = schedule.HOUR  # another one is for tests

    @property
    def prometheus_url(self) -> str:
        return self.sources.own.url


def parse(
    *,
    serving_image: str,
    pod_namespace: str,
    pod_name: str,
    prometheus_url: str,
    scrape_interval: str,
    namespaces: str,
    workers: int,
    probe_port: int,
    metrics_port: int,
    log_level: str,
    serving_image_allow: str = "",
    serving_defaults: str = "",
    lease_name: str = LEASE,
    prometheus_token_file: str = "",
    prometheus_username: str = "",
    prometheus_password_file: str = "",
    prometheus_ca_file: str = "",
    prometheus_headers: tuple[str, ...] = (),
    prometheus_insecure_skip_verify: bool = False,
    prometheus_allow: tuple[str, ...] = (),
    prometheus_secret_names: tuple[str, ...] = (),
    drift_hour: int = schedule.HOUR,
) -> Settings:
    """Raises SettingsError with everything that is wrong."""
    wrong: list[str] = []
    if not serving_image or re.search(r"\s", serving_image):
        wrong.append(
            "--serving-image / SEATRIAL_SERVING_IMAGE must name the image that fetches, tries and serves models"
        )
    if not _NAMESPACE.fullmatch(pod_namespace):
        wrong.append("--pod-namespace / POD_NAMESPACE must be the operator's own namespace; its lease lives there")
    if not pod_name:
        wrong.append("--pod-name / POD_NAME must be this replica's name; it tells replicas apart")
    images = tuple(part.strip() for part in serving_image_allow.split(",") if part.strip())
    for image in images:
        if not allowed.is_entry(image):
            wrong.append(
                f"--serving-image-allow / SEATRIAL_SERVING_IMAGE_ALLOW: {image!r} is no registry and no repository"
            )
    defaults = _placement(serving_defaults, wrong)
    if not _LEASE.fullmatch(lease_name):
        wrong.append(f"--lease-name / SEATRIAL_LEASE_NAME: {lease_name!r} is not the name of an object")
    own = sources.Own(
        url=_url(prometheus_url, wrong),
        files=_files(
            {"token": prometheus_token_file, "password": prometheus_password_file, "ca.crt": prometheus_ca_file}
        ),
        texts=_texts(prometheus_username, prometheus_headers, wrong),
        verify=not prometheus_insecure_skip_verify,
    )
    if bool(prometheus_username) != bool(prometheus_password_file):
        wrong.append("--prometheus-username and --prometheus-password-file must be given together")
    chosen = tuple(part.strip() for part in namespaces.split(",") if part.strip())
    for namespace in chosen:
        if not _NAMESPACE.fullmatch(namespace):
            wrong.append(f"--namespaces / SEATRIAL_NAMESPACES: {namespace!r} is not the name of a namespace")
    interval = _interval(scrape_interval, wrong)
    allow = _allowed(prometheus_allow, wrong)
    if wrong:
        raise SettingsError("\n".join(wrong))
    return Settings(
        serving_image=serving_image,
        pod_namespace=pod_namespace,
        pod_name=pod_name,
        serving_images=images,
        serving_defaults=defaults,
        lease_name=lease_name,
        sources=sources.Policy(own=own, allow=allow, secret_names=frozenset(prometheus_secret_names)),
        scrape_interval=interval,
        namespaces=chosen,
        workers=workers,
        probe_port=probe_port,
        metrics_port=metrics_port,
        log_level=log_level,
        drift_hour=drift_hour,
    )


def _placement(text: str, wrong: list[str]) -> placement.Placement:
    """Fields of spec.serving as JSON: those that place pods."""
    if not text:
        return placement.Placement()
    try:
        raw = msgspec.json.decode(text, type=dict[str, Any])
        found = msgspec.convert(raw, placement.Placement, dec_hook=values.decode_hook)
        known = [one.encode_name for one in msgspec.structs.fields(placement.Placement)]
        strange = [f"unknown field {name!r}; there are {', '.join(known)}" for name in raw if name not in known]
        faults = [*strange, *found.faults()]
    except msgspec.MsgspecError as error:
        found, faults = placement.Placement(), [str(error)]
    wrong += [f"--serving-defaults / SEATRIAL_SERVING_DEFAULTS: {fault}" for fault in faults]
    return found


def _interval(text: str, wrong: list[str]) -> Duration:
    try:
        interval = Duration.parse(text)
    except ValueError as error:
        wrong.append(f"--scrape-interval / SEATRIAL_SCRAPE_INTERVAL {error}")
        return Duration()
    if not interval:
        wrong.append("--scrape-interval / SEATRIAL_SCRAPE_INTERVAL must be more than nothing")
    return interval


def _url(text: str, wrong: list[str]) -> str:
    if text:
        try:
            access.place(text, field="--prometheus-url / SEATRIAL_PROMETHEUS_URL")
        except errors.PrometheusRefused as error:
            wrong.append(f"{error}, not {_without_password(text)!r}")
    return text


def _without_password(url: str) -> str:
    return re.sub(r"//[^/]*@", "//", url)


def _files(given: dict[str, str]) -> dict[str, str]:
    return {key: path for key, path in given.items() if path}


def _texts(username: str, headers: tuple[str, ...], wrong: list[str]) -> dict[str, str]:
    texts = {"username": username} if username else {}
    for header in headers:
        name, separator, value = header.partition("=")
        if not (name and separator and value):
            wrong.append("--prometheus-header / SEATRIAL_PROMETHEUS_HEADERS must be like X-Scope-OrgID=shop")
        texts[f"{credentials.HEADER}{name}"] = value
    return texts


def _allowed(entries: tuple[str, ...], wrong: list[str]) -> tuple[access.Allowed, ...]:
    found = []
    for entry in entries:
        try:
            found.append(access.allowed(entry))
        except ValueError as error:
            wrong.append(f"--prometheus-allow / SEATRIAL_PROMETHEUS_ALLOW: {error}")
    return tuple(found)
