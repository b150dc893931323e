"""A spec names an image of the operator's repository or of one that its settings list; nothing else runs."""

from __future__ import annotations

import pytest

from seatrial.rollout import allowed

OWN = "registry.example.com/seatrial/serving:1.2@sha256:" + "a" * 64


def refused(image: str | None, *allow: str, own: str = OWN) -> bool:
    return bool(allowed.refusal(image, own=own, allow=allow))


@pytest.mark.parametrize(
    "image",
    [
        None,
        OWN,
        "registry.example.com/seatrial/serving",
        "registry.example.com/seatrial/serving:2",
        "registry.example.com/seatrial/serving@sha256:" + "b" * 64,
        "registry.example.com/seatrial/serving/debug:2",
    ],
)
def test_no_image_and_those_of_the_operators_repository_are_allowed(image: str | None) -> None:
    assert not refused(image)


@pytest.mark.parametrize(
    "image",
    [
        "busybox",
        "registry.example.com/seatrial/serving-evil:1",
        "registry.example.com/seatrial/other:1",
        "registry.example.com.evil.org/seatrial/serving:1",
        "registry.example.com:5000/seatrial/serving:1",
        "evil.org/registry.example.com/seatrial/serving:1",
        "registry.example.com@evil.org/seatrial/serving",
        "registry.example.com/seatrial/serving/../../other:1",
        "registry.example.com/seatrial/serving:1\nbusybox",
        "registry.example.com/seatrial/serving:",
        "",
    ],
)
def test_everything_else_is_refused(image: str) -> None:
    assert refused(image)


@pytest.mark.parametrize(
    ("entry", "image"),
    [
        ("other.example.com", "other.example.com/any/thing:1"),
        ("other.example.com:5000/", "other.example.com:5000/thing:1"),
        ("other.example.com/team", "other.example.com/team/serving:1"),
        ("team/", "team/serving:1"),
        ("localhost", "localhost/serving:1"),
        ("serving", "serving:1"),
    ],
)
def test_an_entry_allows_itself_and_what_is_below_it(entry: str, image: str) -> None:
    assert allowed.is_entry(entry)
    assert refused(image)
    assert not refused(image, entry)


def test_a_repository_without_a_registry_allows_no_other_owners() -> None:
    """`serving` and `serving/other` belong to different people at the default registry."""
    assert refused("serving/other:1", "serving")
    assert refused("serving/other:1", own="serving:1")


def test_a_refusal_names_the_field_the_setting_and_what_is_allowed() -> None:
    said = allowed.refusal("busybox:1", own=OWN, allow=["other.example.com"])
    assert "spec.serving.image 'busybox:1'" in said
    assert "must be from registry.example.com/seatrial/serving or other.example.com" in said
    assert "--serving-image-allow" in said


@pytest.mark.parametrize(
    "text", ["", "two words", "https://registry", "registry/*", "registry/Team", "registry/team:1"]
)
def test_what_is_no_registry_or_repository_is_no_entry(text: str) -> None:
    assert not allowed.is_entry(text)
